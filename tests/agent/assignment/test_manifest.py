from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_manager.agent.assignment.manifest import manifest, write_manifest
from model_manager.facts.identity import Pin
from model_manager.facts.model import Problem, Size, Source
from tests.agent.stage import AT, model, needs, wanted
from tests.stories.machine import sha256

GATED = model(
    "unet/flux.safetensors",
    b"x" * 1000,
    sources=(Source(url="https://origin.test/flux?token=secret", token="HF_TOKEN"),),
    gated=True,
)
PLAIN = model("vae/a.safetensors", size=Size(bytes=2_000_000_000, exact=False), pin=Pin.parse("0" * 10))


def test_it_has_the_shape_that_others_read() -> None:
    told = manifest(needs(GATED, wanted(PLAIN, required=False, by=("machine",))), AT)
    assert (told["timestamp"], told["total_models"], told["total_size_gb"]) == (AT, 2, 2.0)
    assert told["source"] == {"workflow_ids": ("w",), "collection_ids": (), "components": (), "models": ()}
    assert told["models"][0] == {
        "name": "flux.safetensors",
        "downloadUrl": "https://origin.test/flux",
        "saveTo": "models/unet/flux.safetensors",
        "fileSize": 1000,
        "isAuthReq": True,
        "authEnvVar": "HF_TOKEN",
        "hash": sha256(b"x" * 1000),
        "required": True,
        "source": "workflow:w",
        "needed_by": ("workflow:w",),
    }
    assert (told["models"][1]["required"], told["models"][1]["source"]) == (False, "machine")


def test_what_the_catalog_does_not_say_is_null() -> None:
    (entry,) = manifest(needs(model("vae/a.safetensors", sources=())), AT)["models"]
    assert [entry[key] for key in ("downloadUrl", "fileSize", "authEnvVar", "hash")] == [None] * 4


def test_problems_are_in_it() -> None:
    problem = Problem(kind="unknown_model", subject="x.safetensors", why="the catalog does not have it")
    assert manifest(needs(problems=(problem,)), AT)["problems"] == ["x.safetensors: the catalog does not have it"]


def test_no_reader_sees_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model-manifest.json"
    write_manifest(path, needs(GATED), AT)
    monkeypatch.setattr(Path, "write_bytes", _half)
    with pytest.raises(OSError, match="No space"):
        write_manifest(path, needs(GATED, PLAIN), AT)
    assert json.loads(path.read_bytes())["total_models"] == 1


def _half(path: Path, data: bytes) -> int:
    with path.open("wb") as file:
        file.write(data[: len(data) // 2])
    raise OSError(28, "No space left on device")
