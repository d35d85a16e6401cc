"""What is measured: shapes of work and the circumstances that they are fetched under."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Algorithm = Literal["sha256", "blake3"]

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

RATE: Final = 40_000_000
"""Bytes per second that a throttled origin gives one connection."""


@dataclass(frozen=True, slots=True)
class Shape:
    """So many files of so many bytes."""

    count: int
    size: int

    @property
    def name(self) -> str:
        size = f"{self.size // GIB} GiB" if self.size >= GIB else f"{self.size // MIB} MiB"
        return f"{self.count} x {size}"

    @property
    def gib(self) -> float:
        return self.count * self.size / GIB


LARGE: Final = Shape(1, 4 * GIB)
SEVERAL: Final = Shape(8, 512 * MIB)
MANY: Final = Shape(200, 5 * MIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One shape under one set of circumstances; each of the digests is a case of its own.

    `peers` are names of contenders, None for all. `rounds`: how often ours runs; peers do at most PEER_ROUNDS times.
    """

    shape: Shape
    throttled: bool = False
    tls: bool = False
    tmpfs: bool = False
    digests: tuple[Algorithm, ...] = ("sha256", "blake3")
    peers: tuple[str, ...] | None = None
    rounds: int = 5

    @property
    def circumstances(self) -> str:
        pace = f"{RATE // 1_000_000} MB/s a connection" if self.throttled else "unthrottled"
        return ", ".join((self.shape.name, pace, "TLS" if self.tls else "plain", "tmpfs" if self.tmpfs else "disk"))

    def case(self, algorithm: Algorithm) -> str:
        return f"{self.circumstances}, {algorithm}"


QUICK: Final = ("curl", "aiohttp")
"""The peers that were the best in every cell so far."""

USUAL_ROUNDS: Final = 2
"""Of a default run: eleven minutes or so."""

PEER_ROUNDS: Final = 5
SLOWEST_ROUNDS: Final = 1
"""What takes several times as long as every other needs no median to be told from the best."""


def default() -> tuple[Cell, ...]:
    """The cells that a goal is set for, shape by shape: the files of one shape are on the disk at a time."""
    return (
        Cell(shape=LARGE),
        Cell(shape=LARGE, tls=True, digests=("sha256",), peers=()),
        Cell(shape=LARGE, throttled=True, digests=("sha256",), peers=("aria2c x16",)),
        Cell(shape=LARGE, tmpfs=True, digests=("blake3",), peers=QUICK),
        Cell(shape=SEVERAL),
        Cell(shape=SEVERAL, tls=True, digests=("sha256",), peers=()),
        Cell(shape=SEVERAL, throttled=True, digests=("sha256",), peers=()),
        Cell(shape=SEVERAL, tmpfs=True, digests=("sha256",), peers=QUICK),
        Cell(shape=MANY),
        Cell(shape=MANY, tmpfs=True, digests=("sha256",), peers=QUICK),
    )


def full() -> tuple[Cell, ...]:
    """Every combination, with every peer."""
    return tuple(
        Cell(shape=shape, throttled=throttled, tls=tls, tmpfs=tmpfs, rounds=1 if throttled else 3)
        for shape in (LARGE, SEVERAL, MANY)
        for throttled in (False, True)
        for tls in (False, True)
        for tmpfs in (False, True)
    )


def smoke() -> tuple[Cell, ...]:
    """Every road once, with next to nothing on it."""
    return (
        Cell(shape=Shape(1, 8 * MIB), rounds=1),
        Cell(shape=Shape(1, 8 * MIB), throttled=True, tls=True, digests=("sha256",), rounds=1),
        Cell(shape=Shape(20, MIB), rounds=1, digests=("sha256",)),
    )


def chosen(words: str, rounds: str, smoking: bool) -> tuple[Cell, ...]:
    """`words`: empty for the default, `full`, or a comma list of words that a cell of the full matrix must all have.

    `rounds`: how many at most, empty for USUAL_ROUNDS of the default, or for as many as each chosen cell wants.
    """
    if smoking:
        return smoke()
    wanted = [word.strip() for word in words.split(",") if word.strip() and word.strip() != "full"]
    cells = tuple(cell for cell in full() if all(word in cell.circumstances for word in wanted))
    most = int(rounds or (1000 if words.strip() else USUAL_ROUNDS))
    return tuple(replace(cell, rounds=min(most, cell.rounds)) for cell in (cells if words.strip() else default()))
