"""Files that are in memory, hashed: ours beside the hash programs of the system, in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from model_manager.facts.device import Device
from model_manager.facts.identity import FULL, Algorithm
from model_manager.library.contents.hashing import digest_file
from model_manager.library.contents.mapper import Mapper
from model_manager.library.contents.readers import Readers
from tests.bench.fetching.cells import GIB, MIB, Shape
from tests.bench.fetching.files import Source, sources, warm
from tests.bench.fetching.tools import Tools, at_hand, obtained
from tests.bench.fetching.verifying import Verifier, WrongBytes, fastest
from tests.bench.row import Row

ROUNDS: Final = 7
SHARE: Final = 0.95
"""Of a peer's speed, that we want at least."""

SLACK: Final = 1.1
"""Times the slowest digest alone, that all together may take."""

BENCH: Final = "library"
Timed = Callable[[], float]


def rows(directory: Path, smoke: bool) -> Iterator[Row]:
    """Large file alone, several files at once; the files are made below `directory`."""
    tools, rounds = (at_hand(), 1) if smoke else (obtained(), ROUNDS)
    with sources(directory / "one", Shape(1, 16 * MIB if smoke else 4 * GIB)) as files:
        warm(files)
        yield from _one(files, tools, rounds)
    with sources(directory / "eight", Shape(8, 12 * MIB if smoke else 512 * MIB)) as files:
        warm(files)
        yield _several(files, tools, rounds)


def _one(files: tuple[Source, ...], tools: Tools, rounds: int) -> Iterator[Row]:
    (file,) = files
    peer = fastest(tools, "blake3", files)
    mapper = Mapper()
    blake3, copied, theirs = _in_turns(
        rounds, _ours(file, "blake3", mapper=mapper), _ours(file, "blake3"), _theirs(peer, files)
    )
    mapper.close()
    case = f"BLAKE3 of {_size(files)}, warm"
    yield _rate(_Pair(case=f"{case}; peer: {peer.name}", files=files, ours=blake3, peer=theirs))
    case = f"{case}, read instead of mapped; peer: {peer.name}"
    yield replace(_rate(_Pair(case=case, files=files, ours=copied, peer=theirs)), goal=None)
    alone, both, tensor = _in_turns(rounds, _ours(file, "sha256"), _ours(file, *FULL), _ours(file, *FULL, "tensor"))
    slower = max(alone, copied)
    for name, took in (("SHA-256 and BLAKE3", both), ("SHA-256, BLAKE3 and tensor hash", tensor)):
        case = f"{name} of {_size(files)} in one read; peer: our slower one alone"
        yield Row(
            bench=BENCH, case=case, ours=round(took, 3), peer=round(slower, 3), unit="s", goal=round(SLACK * slower, 3)
        )


def _several(files: tuple[Source, ...], tools: Tools, rounds: int) -> Row:
    peer = fastest(tools, "sha256", files)
    ours, theirs = _in_turns(rounds, partial(_pooled, files), _theirs(peer, files))
    case = f"SHA-256 of {len(files)} x {_size(files)}, warm; peer: {peer.name}, a process a core"
    return _rate(_Pair(case=case, files=files, ours=ours, peer=theirs))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Seconds for the same files."""

    case: str
    files: Sequence[Source]
    ours: float
    peer: float


def _rate(pair: _Pair) -> Row:
    size = sum(file.size for file in pair.files) / 1e9
    peer = size / pair.peer
    return Row(
        bench=BENCH,
        case=pair.case,
        ours=round(size / pair.ours, 2),
        peer=round(peer, 2),
        unit="GB/s",
        goal=round(SHARE * peer, 2),
        more_is_better=True,
    )


def _in_turns(rounds: int, *timed: Timed) -> list[float]:
    """The best of each: whatever else runs here only adds."""
    times = [[one() for one in timed] for _ in range(rounds)]
    return [min(of_one) for of_one in zip(*times, strict=True)]


def _ours(file: Source, *algorithms: Algorithm, mapper: Mapper | None = None) -> Timed:
    """The process that maps is started by the first, and stays."""

    def timed() -> float:
        begun = time.monotonic()
        digests = digest_file(str(file.path), frozenset(algorithms), mapper=mapper)[1]
        took = time.monotonic() - begun
        if any(digests.named(name) != file.digest(name) for name in FULL.intersection(algorithms)):  # type: ignore[arg-type]
            raise WrongBytes(f"{file.path}: {digests}")
        return took

    return timed


def _pooled(files: Sequence[Source]) -> float:
    cores = os.cpu_count() or 1
    device, readers = Device(name="bench", kind="ssd"), Readers(lambda _: cores)
    begun = time.monotonic()
    asked = [readers.submit(str(f.path), frozenset({"sha256"}), device=device, haste="urgent") for f in files]
    found = [future.result()[1].sha256 for future in asked]
    took = time.monotonic() - begun
    readers.close()
    if found != [file.sha256 for file in files]:
        raise WrongBytes("SHA-256 of several files")
    return took


def _theirs(peer: Verifier, files: Sequence[Source]) -> Timed:
    return lambda: peer.verify(files, files[0].path.parent).seconds


def _size(files: Sequence[Source]) -> str:
    return Shape(1, files[0].size).name.removeprefix("1 x ")
