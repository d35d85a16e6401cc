"""A tree of models for a workbench, and the settings that a person without any has."""

from __future__ import annotations

import os
from pathlib import Path

from model_manager.settings import Settings, load
from tests.stories.machine import safetensors

LONG_AGO = (1_700_000_000_123_456_789, 1_700_000_000_123_456_789)
"""Nanoseconds. Of times of whole seconds, as archives give them, nothing is concluded."""


def settings(directory: Path, **more: str) -> Settings:
    return load({"MODEL_MANAGER_STATE_DIR": str(directory / "state"), "MODEL_MANAGER_READ_RATE": "0", **more})


def put(directory: Path, place: str, seed: int = 0, size: int = 3000) -> Path:
    """A model that was written long ago."""
    file = directory / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(safetensors(size, seed))
    os.utime(file, ns=LONG_AGO)
    return file


def tree(directory: Path) -> Path:
    """Three models in a directory of a person."""
    for seed, place in enumerate(("loras/a.safetensors", "loras/b.safetensors", "vae/c.safetensors")):
        put(directory / "nas", place, seed)
    return directory / "nas"
