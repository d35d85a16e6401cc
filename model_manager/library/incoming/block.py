"""Blocks of bytes on their way, and those of them that wait in memory for what is before them."""

from __future__ import annotations

from dataclasses import dataclass, field

from model_manager.errors import PieceCorrupt
from model_manager.facts.identity import Pin
from model_manager.library.contents.hashing import Hasher
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.extents import Extents, Span


@dataclass(slots=True, kw_only=True)
class Promised:
    """A digest of one lane's bytes, up to `stop`. Until it is proven right, the `pieces` that came do not count.

    `void`: not all of these bytes come by this lane any more, so that the digest says nothing.
    """

    pin: Pin
    name: str
    host: str
    stop: int
    hasher: Hasher
    pieces: list[Span] = field(default_factory=list)
    void: bool = False

    def settle(self, start: int, stop: int) -> bool | None:
        """These bytes are written. Whether the promise was kept, also where it can never be proven; None when more are to come."""
        self.pieces.append((start, stop))
        if self.void:
            return True
        return self.pin.agrees(self.hasher.digests()) is not False if stop >= self.stop else None

    @property
    def broken(self) -> PieceCorrupt:
        return PieceCorrupt(name=self.name, host=self.host, why=f"it is not {self.pin}, as was said of this range")


@dataclass(slots=True, kw_only=True)
class Block:
    """Bytes `start` to `stop` of the file, in memory where the first is at `start % BLOCK`."""

    memory: memoryview
    start: int
    stop: int
    promised: Promised | None = None
    early: bool = False
    """Whether it was written before its turn to be hashed had come."""

    def view(self) -> memoryview:
        at = self.start % BLOCK
        return self.memory[at : at + self.stop - self.start]

    def trim(self, here: Extents) -> bool:
        """Cut what is here already; whether anything is left."""
        start, stop = next(here.gaps(self.start, self.stop), (self.stop, self.stop))
        if self.promised is not None and (start, stop) != (self.start, self.stop):
            self.promised.void = True
        self.start, self.stop = start, stop
        return start < stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """What a sync makes safe: extents, the hash state of the first `hashed` bytes if it can be saved, how many are new."""

    extents: tuple[Span, ...]
    hashed: int
    state: bytes | None
    fresh: int


class Early:
    """Blocks of one file that came before their turn to be hashed: those that are needed first, as far as memory may hold
    them. Used by one thread at a time."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._blocks: dict[int, Block] = {}

    def keep(self, block: Block) -> Block | None:
        """The block that has to go: none, the farthest of all, or this one."""
        farthest: Block | None = None
        if not self._buffers.hold():
            if max(self._blocks, default=0) <= block.start:
                return block
            farthest = self._blocks.pop(max(self._blocks))
        self._blocks[block.start] = block
        block.early = True
        return farthest

    def pop(self, start: int) -> Block | None:
        """The block that begins there, if there is one: its turn has come."""
        if (block := self._blocks.pop(start, None)) is not None:
            self._buffers.let_go()
        return block

    def after(self, start: int) -> int | None:
        """Where the next one begins."""
        return min((at for at in self._blocks if at > start), default=None)

    def empty(self) -> list[Block]:
        """All of them."""
        return [block for start in list(self._blocks) if (block := self.pop(start))]
