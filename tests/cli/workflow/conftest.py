from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.model.conftest import put
from tests.cli.serving import Shelf, served
from tests.stories.machine import safetensors, sha256

CHECKPOINT = safetensors(4000, 1)
LORA = safetensors(3000, 2)
VAE = safetensors(2500, 3)


def drawn(*nodes: tuple[str, list[Any], dict[str, Any]]) -> dict[str, Any]:
    """A workflow as the editor saves it: (type, values of its widgets, properties) of each node."""
    return {
        "id": "0", "revision": 0, "last_node_id": len(nodes), "last_link_id": 0, "links": [], "groups": [], "version": 0.4,
        "nodes": [
            {"id": number, "type": kind, "pos": [0, 0], "mode": 0, "inputs": [], "outputs": [], "widgets_values": values, "properties": more}
            for number, (kind, values, more) in enumerate(nodes, 1)
        ],
    }  # fmt: skip


def told(name: str, url: str, directory: str, data: bytes | None = None) -> dict[str, Any]:
    """What a node's properties say of its model."""
    pinned = {"hash": sha256(data), "hash_type": "SHA256"} if data else {}
    return {"models": [{"name": name, "url": url, "directory": directory, **pinned}]}


@dataclass(frozen=True)
class Machine:
    """A person's machine: a ComfyUI with models, indexed; an environment; an origin on loopback."""

    comfy: Path
    here: Path
    shelf: Shelf
    call: Call

    def workflow(self, *nodes: tuple[str, list[Any], dict[str, Any]], name: str = "flow.json") -> Path:
        file = self.here / name
        file.write_text(json.dumps(drawn(*nodes), indent=1))
        return file

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return self.call(*arguments, "-C", str(self.here))

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json")[1])

    @property
    def manifest(self) -> str:
        return (self.here / "pyproject.toml").read_text()


@pytest.fixture
def machine(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    comfy, here = tmp_path / "ComfyUI", tmp_path / "here"
    here.mkdir()
    models = comfy / "models"
    put(models / "checkpoints" / "SD15" / "dream.safetensors", CHECKPOINT)
    put(models / "loras" / "style.safetensors", LORA)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COMFYUI_BASE_PATH", str(comfy))
    with served() as shelf:
        monkeypatch.setenv("MODEL_MANAGER_ALLOW_HOSTS", shelf.host)
        monkeypatch.setenv("MODEL_MANAGER_HF_API", shelf.url(""))
        monkeypatch.setenv("MODEL_MANAGER_CIVITAI_API", shelf.url(""))
        assert call("model", "index", "sync")[0] == 0
        yield Machine(comfy, here, shelf, call)
