"""Small models for a first run: valid safetensors files whose bytes are the same on every machine.

Format: 8 bytes little-endian length N, N bytes of JSON (padded with blanks to a multiple of 8), then the tensors
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_manager.facts.wire import dumps

_WIDTH: Final = 1024
"""Numbers in a row of a tensor."""

_ROW: Final = _WIDTH * 2
"""Bytes in a row: the tensors are F16."""

_FINITE: Final = bytes(byte & 0xBF for byte in range(256))
"""Clears the top bit of an F16's exponent in its high byte: no number is infinite, NaN, or beyond ±2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A file to make: its name, and how many bytes its tensors take (rounded up to whole rows)."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """A file that is there: `size` in bytes, `sha256` of all of it."""

    name: str
    path: Path
    size: int
    sha256: str


def write(directory: Path, recipes: Iterable[Recipe]) -> tuple[SampleFile, ...]:
    """Make these files, or see that they are there whole. Blocks: about 10 ms for each MB."""
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(_written(directory / recipe.name, content(recipe)) for recipe in recipes)


def content(recipe: Recipe) -> bytes:
    """The file's bytes."""
    rows = -(-recipe.bytes // _ROW)
    names = ("blocks.0.weight", "blocks.1.weight", "head.weight")
    shares = (rows // 2, rows // 4, rows - rows // 2 - rows // 4)
    header = _header(dict(zip(names, shares, strict=True)))
    return len(header).to_bytes(8, "little") + header + _numbers(recipe.name, rows * _ROW)


def _header(rows: dict[str, int]) -> bytes:
    """JSON that tells each tensor's type, shape and place; `rows` of each, one after the other."""
    described: dict[str, object] = {"__metadata__": {"format": "pt", "made_by": "model_manager sample"}}
    end = 0
    for name, count in rows.items():
        start, end = end, end + count * _ROW
        described[name] = {"dtype": "F16", "shape": [count, _WIDTH], "data_offsets": [start, end]}
    text = dumps(described)
    return text + b" " * (-len(text) % 8)


def _numbers(seed: str, length: int) -> bytes:
    numbers = bytearray(hashlib.shake_256(seed.encode()).digest(length))
    numbers[1::2] = numbers[1::2].translate(_FINITE)
    return bytes(numbers)


def _written(path: Path, body: bytes) -> SampleFile:
    """Write the file unless it is there already, then read it back."""
    sha256 = hashlib.sha256(body).hexdigest()
    if not _whole(path, sha256):
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_bytes(body)
        unfinished.replace(path)
        if not _whole(path, sha256):
            raise OSError(f"{path} does not hold what was written to it. Check the disk.")
    return SampleFile(name=path.name, path=path, size=len(body), sha256=sha256)


def _whole(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
