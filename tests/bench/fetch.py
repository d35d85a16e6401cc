"""Bringing models here and knowing that they are right: ours beside what people use, in one run, on one machine.

Ours fetches, hashes, syncs and places; a peer fetches, and then the fastest program at hand verifies (peers do not sync).
Everybody gets an empty directory, an origin whose files are in memory, and eight files at a time; the rounds are
interleaved and medians count. Seconds and processor time of programs in Python run from their first request to their
last file; memory is the peak of the whole process (for several at once: of their sum).

BENCH_FETCH=full measures every combination, and a comma list of words (`1 x 4 GiB,TLS,disk`) those that have them all;
without it each cell is measured twice. BENCH_ROUNDS=1 is enough for a look, BENCH_ROUNDS=5 gives medians that can be told.
In the same round the disk alone takes as many bytes by the same calls, and peers are synced when they are done. BENCH_DIR is where the files go (9 GiB free), by default the cache directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.bench.fetching.cells import MIB, Algorithm, Cell, chosen
from tests.bench.fetching.contenders import Peer, Work, disk_alone, ours, peers, synced
from tests.bench.fetching.files import Source, emptied, sources, warm
from tests.bench.fetching.goals import Found, rows
from tests.bench.fetching.origin import Origin, installed, origin
from tests.bench.fetching.running import CommandFailed, Run
from tests.bench.fetching.tools import Tools, at_hand, cache, obtained
from tests.bench.fetching.touching import touched
from tests.bench.fetching.verifying import Verifier, WrongBytes, alone, fastest
from tests.bench.row import Row

TMPFS: Final = Path("/dev/shm")


def run(smoke: bool) -> Iterator[Row]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the origin and gigabytes of files must not stay behind
    cells = chosen(os.environ.get("BENCH_FETCH", ""), os.environ.get("BENCH_ROUNDS", ""), smoke)
    tools = at_hand() if smoke else obtained()
    parent = os.environ.get("BENCH_DIR") or (None if smoke else cache())
    with _directory(parent) as home, origin(home / "origin", home / "files", installed()) as server:
        _say(f"the origin is {server.kind}")
        for shape, group in groupby(cells, key=lambda cell: cell.shape):
            with sources(home / "files", shape) as files:
                field = Field(home=home, origin=server, tools=tools, files=files, verifiers=_verifiers(tools, files))
                for cell in group:
                    if cell.tmpfs and not _room(TMPFS, shape.count * shape.size):
                        _say(f"left out, {TMPFS} is too small: {cell.circumstances}")
                        continue
                    for algorithm, found in field.measure(cell).items():
                        yield from rows(cell, algorithm, found)


@contextmanager
def _directory(parent: Path | str | None) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="mm-fetch-", dir=parent))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _verifiers(tools: Tools, files: Sequence[Source]) -> dict[Algorithm, Verifier]:
    warm(tuple(files))
    return {algorithm: fastest(tools, algorithm, files) for algorithm in ("sha256", "blake3")}


def _room(directory: Path, size: int) -> bool:
    return directory.is_mount() and shutil.disk_usage(directory).free > size + size // 4


def _shown(name: str, cost: Run) -> Run:
    beside = f" ({cost.beside * 1000:.0f} beside, {cost.stolen:.2f} s stolen)"
    lag = f" {cost.lag * 1000:5.0f} ms lag{beside}" if cost.lag else ""
    _say(f"  {name:24} {cost.seconds:7.2f} s {cost.cpu:7.2f} CPU-s {cost.memory / MIB:6.0f} MiB{lag}")
    if cost.spans.get("connections", 0) > 1:
        _say("    " + ", ".join(f"{name} {amount:.2f}" for name, amount in cost.spans.items()))
    return cost


def _say(text: str) -> None:
    print(f"fetch: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Where the contenders meet: one shape's files at one origin."""

    home: Path
    origin: Origin
    tools: Tools
    files: tuple[Source, ...]
    verifiers: dict[Algorithm, Verifier]

    def measure(self, cell: Cell) -> dict[Algorithm, Found]:
        """Every round, each contender after the other, another one first each time."""
        here, absent = peers(self.tools)
        here = tuple(peer for peer in here if cell.peers is None or peer.name in cell.peers)
        absent = tuple(name for name in absent if cell.peers is None or name in cell.peers)
        found = {algorithm: Found(absent=absent) for algorithm in cell.digests}
        warm(self.files)
        with _directory(TMPFS if cell.tmpfs else self.home) as place:
            for number in range(cell.rounds):
                _say(f"{cell.circumstances}: round {number + 1} of {cell.rounds}")
                self._round(number, here, cell, place, found)
        return found

    def _round(
        self, number: int, here: Sequence[Peer], cell: Cell, place: Path, found: dict[Algorithm, Found]
    ) -> None:  # fmt: skip
        absent = next(iter(found.values())).absent
        taking_part = [None, *(peer for peer in here if number < peer.rounds and peer.name not in absent)]
        first = number % len(taking_part)
        for peer in taking_part[first:] + taking_part[:first]:
            if peer is None:
                self._ours(cell, place, found, number == 0)
                continue
            try:
                self._peer(peer, cell, place, found)
            except (CommandFailed, WrongBytes) as error:
                _say(f"{peer.name} is left out: {error}")
                for figures in found.values():
                    figures.leave_out(peer.name)

    def _ours(self, cell: Cell, place: Path, found: dict[Algorithm, Found], again: bool) -> None:
        """`again`: what we placed is read by the verifying program too, on nobody's time."""
        if not (cell.tls or cell.throttled):
            disk = _shown("the disk alone", disk_alone(self._work(cell, place)))
            for figures in found.values():
                figures.disk.append(disk)
        for algorithm, figures in found.items():
            work = self._work(cell, place)
            figures.ours.append(_shown(f"ours, {algorithm}", ours(work, algorithm)))
            if again:
                self.verifiers[algorithm].verify(self.files, work.store / "checkpoints")
            if cell.tls:
                work = self._work(cell, place, tls=False)
                figures.plain.append(_shown(f"ours, {algorithm}, plain", ours(work, algorithm)))
            only = alone(self.tools)
            if only and algorithm == "sha256" and cell.shape.count == 1 and not (cell.tls or cell.throttled):
                figures.alone.append(_shown("openssl alone", only.verify(self.files, self.files[0].path.parent)))

    def _peer(self, peer: Peer, cell: Cell, place: Path, found: dict[Algorithm, Found]) -> None:
        """One download serves each digest. It is verified while its pages are hot, and synced after."""
        work = self._work(cell, place)
        fetched = _shown(peer.name, peer.fetch(work))
        both: dict[Algorithm, Run] = {}
        for algorithm, figures in found.items():
            verifier = self.verifiers[algorithm]
            runs = figures.peers.setdefault(f"{peer.name} + {verifier.name}", [])
            both[algorithm] = fetched.then(_shown(f"  {verifier.name}", verifier.verify(self.files, work.store)))
            runs.append(both[algorithm])
        rest = _shown("  sync", synced(work))
        for algorithm, figures in found.items():
            name = f"{peer.name} + {self.verifiers[algorithm].name}"
            figures.synced.setdefault(name, []).append(both[algorithm].then(rest))

    def _work(self, cell: Cell, place: Path, tls: bool | None = None) -> Work:
        secure = cell.tls if tls is None else tls
        store = emptied(place / "store")
        work = Work(cell=cell, files=self.files, origin=self.origin, store=store, home=place, tls=secure)
        touched(store, work.touch)
        return work
