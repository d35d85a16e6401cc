"""A short object in memory: everything that comes is kept until the last byte is there, or until somebody takes it over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Protocol, Self

from model_manager.facts.transfer import Offer
from model_manager.library.contents.reading import HEAD
from model_manager.library.incoming.block import Block
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.lane import LEAST, Gate


class Next(Protocol):
    """Where bytes go after a take-over: a lane, or what carries one."""

    def room(self) -> memoryview | None: ...

    def took(self, size: int) -> None: ...

    def when_free(self, ring: Callable[[], None]) -> None: ...


class Whole:
    """A sink for an object of `size` bytes. One thread at a time fills it; no call blocks. Raises Corrupt when a beginning
    is no model's.

    Its owner may at any time take the full blocks away (`full`) and name who gets everything else (`pass_on`).
    """

    def __init__(self, buffers: Buffers, gate: Gate, size: int, short: Callable[[], None]) -> None:
        """`short` is called from any thread when there is no memory for the rest now: if none comes, the owner takes over."""
        self.size = size
        self.at = 0
        """Bytes that came, not counting those that went to the next."""
        self._buffers = buffers
        self._gate = gate
        self._short = short
        self._run: memoryview | None = None
        self._blocks: list[memoryview] = []
        self._given = 0
        self._given_back = False
        self._done = 0
        self._next: Next | None = None
        self._passed = False
        buffers.join()
        if (count := -(-size // BLOCK)) <= buffers.count // 8 and (run := buffers.take_run(count)):
            self._run, self._blocks = run

    @classmethod
    def of(
        cls, offer: Offer, name: str, buffers: Buffers, judge: Callable[[bytes], str | None], short: Callable[[], None]
    ) -> Self:
        """For what an origin offers, whose size it must say."""
        size = offer.size or 0
        gate = Gate(name=name, host=offer.host, judge=judge, total=size, most=None, judged=False)
        return cls(buffers, gate, size, short)

    @property
    def complete(self) -> bool:
        return self.at == self.size

    def room(self) -> memoryview | None:
        """Memory for the bytes that come next; empty when it has enough, None when there is none."""
        if self._next is not None:
            return self._room_of(self._next)
        if self.complete:
            return memoryview(b"")
        if self._run is not None:
            return self._run[self.at : self.size]
        if self.at == BLOCK * len(self._blocks):
            memory = self._buffers.take()
            if memory is None:
                return None
            self._blocks.append(memory)
        inside = self.at % BLOCK
        return self._blocks[-1][inside : min(BLOCK, inside + self.size - self.at)]

    def took(self, size: int) -> None:
        """So many bytes are at the beginning of the last room."""
        if self._passed and self._next is not None:
            self._next.took(size)
            return
        judged = self.at >= HEAD
        self.at += size
        if not judged and (self.at >= HEAD or self.complete):
            self._gate.insist_model(self.read(0, HEAD))

    def when_free(self, ring: Callable[[], None]) -> None:
        """Call `ring` once, from any thread, when `room` is worth asking again."""
        if self._next is not None:
            self._next.when_free(ring)
            return
        self._short()
        self._buffers.when_free(ring, lambda: self._next is not None or self._buffers.free > 0)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`, as far as they came, while all of them are here."""
        stop = min(stop, self.at)
        first = start // BLOCK
        views = self.views(first, -(-stop // BLOCK))
        return b"".join(
            view[max(0, start - at) : stop - at] for at, view in zip(count(first * BLOCK, BLOCK), views, strict=False)
        )

    def views(self, first: int = 0, last: int | None = None) -> list[memoryview]:
        """What came, in as few pieces as it lies in."""
        if self._run is not None and not self._given:
            return [self._run[first * BLOCK : self.at if last is None else min(self.at, last * BLOCK)]]
        filled = -(-self.at // BLOCK)
        numbers = range(first, filled if last is None else min(last, filled))
        return [self._blocks[number][: min(BLOCK, self.at - number * BLOCK)] for number in numbers]

    def full(self) -> list[Block]:
        """The blocks that will not change any more, from the beginning; they and their memory are the caller's now."""
        self._given = self.at // BLOCK
        self._done = self._given * BLOCK
        return [
            Block(memory=memory, start=number * BLOCK, stop=(number + 1) * BLOCK)
            for number, memory in enumerate(self._blocks[: self._given])
        ]

    def all(self) -> list[Block]:
        """Every block, when nobody fills it any more. A beginning too short to be judged is not among them."""
        found = self.full()
        if self.at > self._done and (self._done or self.at >= LEAST):
            if self.at < HEAD:
                self._gate.insist_model(self.read(0, HEAD))
            found.append(Block(memory=self._blocks[self._given], start=self._done, stop=self.at))
            self._given, self._done = self._given + 1, self.at
        return found

    def pass_on(self, to: Next) -> None:
        """What is not in full blocks, and everything that comes from now on, goes there."""
        self._next = to
        self._buffers.ring()

    def drop(self) -> None:
        """Give back the memory that is still here, when nobody fills it any more. May be repeated."""
        if self._given_back:
            return
        self._given_back = True
        for memory in self._blocks[self._given :]:
            self._buffers.give(memory)
        self._buffers.leave()

    def _room_of(self, to: Next) -> memoryview | None:
        """What came before goes first."""
        while self._done < self.at:
            room = to.room()
            if room is None or not room:
                return room
            inside = self._done % BLOCK
            size = min(len(room), BLOCK - inside, self.at - self._done)
            room[:size] = self._blocks[self._done // BLOCK][inside : inside + size]
            self._done += size
            to.took(size)
        self._passed = True
        return to.room()
