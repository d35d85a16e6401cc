"""One range of a file on its way in: memory that a connection fills, block by block."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_manager.errors import Broken, Corrupt
from model_manager.facts.identity import Pin
from model_manager.library.contents.hashing import Hasher
from model_manager.library.contents.reading import HEAD
from model_manager.library.incoming.block import Block, Promised
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.spool import Spool

LEAST: Final = 1024
"""Bytes that a judge of beginnings needs, unless the whole file is shorter."""

PATIENCE: Final = 0.1
"""Seconds that a lane may be kept waiting for those behind it: what the kernel's buffers hold meanwhile is not lost."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """What an attempt lets through. `judge` says why a beginning is no model's; of an object of unknown length (`total`)
    at most `most` bytes. `judged`: the beginning was looked at before.
    """

    name: str
    host: str
    judge: Callable[[bytes], str | None]
    total: int | None
    most: int | None
    judged: bool
    short: bytes = b""
    """A beginning that was too short to be judged, where it may turn out to have been everything."""

    def insist_within(self, end: int) -> None:
        """Raise Corrupt when bytes up to `end` are more than the object has."""
        if self.total is not None and end > self.total:
            raise self._corrupt(f"more than its {self.total} bytes came")
        if self.total is None and self.most is not None and end > self.most:
            raise self._corrupt(f"it does not end: more than {self.most} bytes came")

    def insist_model(self, head: bytes) -> None:
        """Raise Corrupt when a model does not begin like that."""
        if why := self.judge(head):
            raise self._corrupt(why)
        self.judged = True

    def _corrupt(self, why: str) -> Corrupt:
        return Corrupt(name=self.name, host=self.host, why=why)


class Lane:
    """Bytes from `at` to `stop` (None: to the end). One thread at a time fills it; the owner may lower `stop` at any time.

    No call blocks. All but `close` raise what the disk, the hash or another lane of the file has raised; Corrupt when a
    beginning is no model's or more comes than there should be.
    """

    def __init__(
        self, spool: Spool, buffers: Buffers, gate: Gate, tally: Callable[[int], None], start: int, stop: int | None
    ) -> None:
        """`tally` is told of every byte that comes."""
        self.at = start
        self.stop = stop
        self.received = 0
        self._spool = spool
        self._buffers = buffers
        self._gate = gate
        self._tally = tally
        self._begun = start
        self._memory: memoryview | None = None
        self._promised: Promised | None = None
        self._closed = False
        self._waited = 0.0
        self._since: float | None = None

    def promise(self, pin: Pin) -> None:
        """A digest of exactly this lane's bytes, known before the first. Where it turns out wrong, the owner's `settle` raises
        PieceCorrupt and only these bytes are forgotten. Raises Broken for a lane without an end."""
        if self.stop is None or self.received:
            raise Broken(
                what=f"A digest of the bytes from {self.at} was promised too late, or of a range without an end."
            )
        self._promised = Promised(
            pin=pin,
            name=self._gate.name,
            host=self._gate.host,
            stop=self.stop,
            hasher=Hasher(frozenset(pin.algorithms)),
        )

    def room(self) -> memoryview | None:
        """Memory for the bytes that come next; empty when it has enough, None when the disk or the hash is behind."""
        self._spool.insist()
        end = self.stop
        if self._closed or self._spool.over or (end is not None and self.at >= end):
            return memoryview(b"")
        if (memory := self._memory or self._new_memory()) is None:
            return None
        inside = self.at % BLOCK
        limit = BLOCK if end is None else min(BLOCK, inside + end - self.at)
        return memory[inside:limit]

    def took(self, size: int) -> None:
        """So many bytes are at the beginning of the last room."""
        if self._memory is None:
            raise Broken(what=f"{size} bytes came where no room was given.")
        self._spool.insist()
        self.received += size
        self.at += size
        self._tally(size)
        try:
            self._gate.insist_within(self.at if self.stop is None else min(self.at, self.stop))
            self._judge(HEAD)
        except Corrupt as error:
            self._spool.fail(error)
            raise
        if self.at % BLOCK == 0 or self._full:
            self._hand_over()

    def when_free(self, ring: Callable[[], None]) -> None:
        """Call `ring` once, from any thread, when `room` is worth asking again; at once when it is now."""
        self._buffers.when_free(ring, self._worth_asking, self._spool, self.at)

    def close(self) -> None:
        """Hand over what came; a beginning too short to be judged is dropped. May be repeated; nothing comes after it."""
        if self._closed:
            return
        self._closed = True
        try:
            self._judge(LEAST)
        except Corrupt as error:
            self._spool.fail(error)
        if self._unjudged:
            self._drop_beginning()
        self._hand_over()
        if self._promised is not None and self.at < self._promised.stop:
            self._spool.end_promise(self._promised)

    @property
    def _full(self) -> bool:
        return self.stop is not None and self.at >= self.stop

    @property
    def _unjudged(self) -> bool:
        """Whether the beginning of the file is in hand, and nobody has looked at it."""
        return self._memory is not None and self._begun == 0 and not self._gate.judged

    def _worth_asking(self) -> bool:
        return (
            self._memory is not None or self._closed or self._full or self._spool.ready(self.at, patient=self._patient)
        )

    def _new_memory(self) -> memoryview | None:
        self._memory, self._begun = self._spool.take(self.at, patient=self._patient), self.at
        if self._memory is None:
            self._since = self._since or time.monotonic()
        elif self._since is not None:
            self._waited, self._since = self._waited + time.monotonic() - self._since, None
        return self._memory

    @property
    def _patient(self) -> bool:
        """Whether it leaves memory to those behind it: as long as the hash has work, and else only for so long."""
        now = self._waited + (time.monotonic() - self._since if self._since is not None else 0.0)
        return now < PATIENCE or not self._spool.starving

    def _judge(self, enough: int) -> None:
        whole = self.stop if self._gate.total is None else self._gate.total
        if self._memory is not None and self._unjudged and (self.at >= enough or self.at == whole):
            self._gate.insist_model(bytes(self._memory[: min(self.at, HEAD)]))

    def _drop_beginning(self) -> None:
        if self._memory is not None and self._gate.total is None:
            self._gate.short = bytes(self._memory[: self.at])
        self.at = self._begun
        self._give_back()

    def _hand_over(self) -> None:
        if (memory := self._memory) is None:
            return
        stop = self.at if self.stop is None else min(self.at, self.stop)
        if self._promised is not None and self.stop is not None and self.stop < self._promised.stop:
            self._promised.void = True
        if self._begun < stop:
            self._memory = None
            self._spool.give(Block(memory=memory, start=self._begun, stop=stop, promised=self._promised))
        else:
            self._give_back()

    def _give_back(self) -> None:
        if self._memory is not None:
            self._spool.take_back(self._memory)
            self._memory = None


def fill(lane: Lane, data: bytes) -> int:
    """Put bytes into a lane, as many as it takes; how many. Waits for memory; raises what the lane does."""
    done = 0
    while done < len(data):
        room = lane.room()
        if room is None:
            free = threading.Event()
            lane.when_free(free.set)
            free.wait()
            continue
        if not room:
            break
        size = min(len(room), len(data) - done)
        room[:size] = data[done : done + size]
        lane.took(size)
        done += size
    return done
