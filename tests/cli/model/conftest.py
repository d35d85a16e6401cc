from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_manager import settings as configuration
from model_manager.workbench.run import workbench
from tests.cli.conftest import Call
from tests.stories.machine import safetensors, sha256

LONG_AGO = 1_700_000_000
EVIL = "evil\x1b[31m.safetensors"


@dataclass(frozen=True)
class Library:
    """A person's models, indexed without an agent: the directories `nas` and `solo` (as loras), and the state."""

    state: Path
    nas: Path
    solo: Path


def put(path: Path, data: bytes, at: int = LONG_AGO) -> Path:
    """A file that rested long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def settings_of(state: Path) -> configuration.Settings:
    return configuration.load({"MODEL_MANAGER_STATE_DIR": str(state), "MACHINE_ID": "m1"})


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Made once; only commands that read may be given it."""
    top = tmp_path_factory.mktemp("library")
    found = Library(state=top / "state", nas=top / "nas", solo=top / "solo")
    fill(found)
    asyncio.run(_index(found))
    return found


def fill(found: Library) -> None:
    loras, nas = found.nas / "loras", found.nas
    for number in range(6):
        put(loras / f"style_{number}.safetensors", safetensors(1000 + number, number), LONG_AGO + number)
    put(loras / "copies" / "style_0 (1).safetensors", safetensors(1000, 0), LONG_AGO + 50)
    (loras / "linked_1.safetensors").hardlink_to(loras / "style_1.safetensors")
    put(loras / EVIL, safetensors(900, 90))
    put(nas / "vae" / "broken.safetensors", b"no model at all" * 50)
    for number in (1, 2, 3):
        put(nas / "text_encoders" / "t5" / f"t5-{number:05}-of-00003.safetensors", safetensors(700 + number, number))
    put(nas / "text_encoders" / "half-00001-of-00002.safetensors", safetensors(800, 8))
    for part in ("unet", "vae"):
        place = put(nas / "diffusers" / "painter" / part / "diffusion_pytorch_model.safetensors", safetensors(640, 64))
        place.with_name("config.json").write_text("{}")
    (nas / "diffusers" / "painter" / "model_index.json").write_text('{"_class_name": "Painter"}')
    describe(loras / "style_5.safetensors")
    put(found.solo / "solo.safetensors", safetensors(2000, 20))


def describe(model: Path) -> None:
    """A CivitAI JSON beside a model, as LoRA managers write it."""
    data = model.read_bytes()
    address = "https://civitai.com/api/download/models/55"
    file = {"name": model.name, "sizeKB": len(data) / 1024, "primary": True, "hashes": {"SHA256": sha256(data)}}
    record: dict[str, Any] = {
        "id": 55, "modelId": 44, "name": "v1", "baseModel": "SDXL 1.0", "trainedWords": ["pixel art", "8bit"],
        "model": {"name": "Pixel Art", "type": "LORA", "nsfw": False}, "files": [{**file, "downloadUrl": address}],
    }  # fmt: skip
    model.with_name(f"{model.stem}.civitai.info").write_text(json.dumps(record))


async def _index(found: Library) -> None:
    async with workbench(settings_of(found.state)) as bench:
        await bench.tracking.add(str(found.nas))
        await bench.tracking.add(str(found.solo), "loras")
        await bench.sync()


@pytest.fixture
def ask(call: Call, library: Library) -> Call:
    """A reading command of `model index` on the library."""

    def asking(*arguments: str) -> tuple[int, str, str]:
        return call("model", "index", *arguments, "--state-dir", str(library.state))

    return asking


@pytest.fixture
def pieces(ask: Call) -> Callable[..., Any]:
    """What such a command prints as JSON."""

    def piece(*arguments: str) -> Any:
        return json.loads(ask(*arguments, "--json")[1])

    return piece


@pytest.fixture
def own(tmp_path: Path, call: Call) -> Path:
    """A small models directory of this test, tracked in the state directory that `call` names."""
    nas = tmp_path / "nas"
    put(nas / "loras" / "a.safetensors", safetensors(5000, 1))
    put(nas / "loras" / "b.safetensors", safetensors(5000, 1), LONG_AGO + 9)
    put(nas / "vae" / "c.safetensors", safetensors(3000, 3))
    assert call("model", "dir", "add", str(nas))[0] == 0
    return nas


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal."""
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)
