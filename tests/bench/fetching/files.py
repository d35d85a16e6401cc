"""The files that are fetched: valid safetensors, each different, warm in the page cache, with their digests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from tests.bench.fetching.cells import MIB, Algorithm, Shape

HEADER: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of the origin, by its name there."""

    name: str
    path: Path
    size: int
    sha256: str
    blake3: str

    def digest(self, algorithm: Algorithm) -> str:
        return self.sha256 if algorithm == "sha256" else self.blake3


@contextmanager
def sources(directory: Path, shape: Shape) -> Iterator[tuple[Source, ...]]:
    """The files of one shape, for the length of a block; on the disk before it begins."""
    directory.mkdir(mode=0o755)
    try:
        made = tuple(_make(directory / f"m{n:03d}.safetensors", shape.size, n) for n in range(shape.count))
        settle(directory)
        yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def warm(files: tuple[Source, ...]) -> None:
    """Read everything, so that the origin never waits for its disk."""
    subprocess.run(["cat", *(str(file.path) for file in files)], stdout=subprocess.DEVNULL, check=True)


def emptied(directory: Path) -> Path:
    """The directory anew and empty, with the cost of the removal behind us."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    settle(directory)
    return directory


def settle(directory: Path) -> None:
    """What was written there, or removed, is on the disk: nobody pays for what came before."""
    subprocess.run(["sync", "--file-system", str(directory)], check=True)


def _make(path: Path, size: int, seed: int) -> Source:
    block, hashes = bytearray(os.urandom(MIB)), (hashlib.sha256(), blake3(max_threads=blake3.AUTO))
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            block[:16] = struct.pack("<QQ", seed, at)
            data = memoryview(_header(size) + block[HEADER:] if at == 0 else block)[: size - at]
            file.write(data)
            for one in hashes:
                one.update(data)
    return Source(name=path.name, path=path, size=size, sha256=hashes[0].hexdigest(), blake3=hashes[1].hexdigest())


def _header(size: int) -> bytes:
    count = size - HEADER
    tensors = json.dumps({"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return struct.pack("<Q", HEADER - 8) + tensors.ljust(HEADER - 8)
