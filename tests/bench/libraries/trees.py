"""Directories full of small model files."""

from __future__ import annotations

import os
import time
from pathlib import Path


def planted(models: Path, files: int, directories: int, size: int) -> Path:
    """`files` LoRAs of `size` bytes, no two alike, in `directories` below a models directory; none was written just now."""
    for number in range(directories):
        (models / f"loras/set{number:04d}").mkdir(parents=True, exist_ok=True)
    for number in range(files):
        with open(models / f"loras/set{number % directories:04d}/lora{number:06d}.safetensors", "wb") as file:
            file.write(number.to_bytes(8, "little") * (size // 8))
    time.sleep(1)
    return models


def warm(models: Path) -> None:
    """Let the kernel know every name and inode of a tree."""
    for path, _, names in os.walk(models):
        for name in names:
            os.stat(f"{path}/{name}")
