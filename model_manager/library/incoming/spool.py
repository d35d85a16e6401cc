"""Which bytes of one file are where: given by lanes, being written, waiting for the hash, safe. No input or output here.

A block that continues what is hashed is hashed from memory once it is written, and so is one that came early, if memory may
hold it until the bytes before it have come. Other blocks are freed when they are written, and read back when their turn comes:
the farthest first, and few, as lanes that are far ahead wait a little for those that are behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from model_manager.errors import PieceCorrupt
from model_manager.library.incoming.block import Block, Early, Promised, Safe
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.extents import Extents, Span

GATHER: Final = 2
"""Blocks that are written in one call."""

BEHIND: Final = 128 * BLOCK
"""Bytes to be read back that blocks in memory wait for; behind more of them they would hold up the network for too long."""

LEAST: Final = 4
"""Blocks on their way to the disk and to the hash that every file may have."""

MOVING: Final = 11
"""Blocks that connections fill or that wait to be written: with the bytes of two syncs, what a kill costs at most."""

LOOK: Final = 0.05
"""Seconds after which a hash without work lets the lanes look at their clocks: those before it may have waited long enough."""


class Spool:
    """Thread-safe. Lanes give blocks and never wait; the threads of the mill wait for their next piece of work.

    `brought` is what was given, `hashed` how far the hash is. The first failure ends everything: what is on its way is
    dropped, what is written stays.
    """

    def __init__(
        self,
        buffers: Buffers,
        here: Extents,
        hashed: int,
        state: bytes | None,
        *,
        every: int,
        seconds: float,
        rereads: bool,
    ) -> None:
        """The first `hashed` bytes are hashed; `state` is the hash's then. A sync is due `every` bytes and `seconds`.

        `rereads`: hash nothing from memory.
        """
        self.brought = Extents(here.spans)
        self.written = Extents(here.spans)
        self.failure: Exception | None = None
        self.over = False
        self._buffers = buffers
        self._rereads = rereads
        self.every = every
        self._seconds = seconds
        self._progress: tuple[int, bytes | None] = (hashed, state)
        self._feed = hashed
        self._front = here.end_from(hashed)
        self._to_read = 0
        self._loose: list[memoryview] = []
        self._least = max(1, min(LEAST, buffers.count // 3))
        self._lock = threading.Lock()
        self._writer, self._hasher, self._syncer, self._owner = (threading.Condition(self._lock) for _ in range(4))
        self._to_write: deque[Block] = deque()
        self._to_hash: deque[Block | Span] = deque()
        self._early = Early(buffers)
        self._writing = self._lent = 0
        self._hashing: Block | Span | None = None
        self._busy = 0
        self._unsynced = 0
        self._synced_at = time.monotonic()
        self._broken: PieceCorrupt | None = None

    @property
    def hashed(self) -> int:
        return self._progress[0]

    # Lanes

    def take(self, at: int, *, patient: bool = True) -> memoryview | None:
        """Memory for the block at `at`, or None while the disk or the hash is behind. Raises what failed.

        `patient`: the last blocks of memory are left to those who bring what the hash waits for.
        """
        self.insist()
        with self._lock:
            memory = self._buffers.take() if not self.over and self._has_room(at, patient) else None
            self._lent += memory is not None
            return memory

    def take_back(self, memory: memoryview) -> None:
        """Of a block that was taken and not given."""
        with self._lock:
            self._lent -= 1
        self._buffers.give(memory)

    def ready(self, at: int, *, patient: bool = True) -> bool:
        """Whether `take` would give memory, or raise, or never give any again."""
        return self.failure is not None or self.over or (self._has_room(at, patient) and self._buffers.free > 0)

    @property
    def places(self) -> int:
        """Blocks that lanes could take; of the end all of them are to hear."""
        risky = self._at_risk >= 2 * self.every + MOVING * BLOCK
        room = 0 if risky else max(self._least, self._buffers.share) - self._busy
        return self._buffers.count if self._ended else room

    @property
    def starving(self) -> bool:
        """Whether the hash has nothing to do, or so much to read back that nobody should wait for it."""
        return self._behind > BEHIND or (self._hashing is None and not self._to_hash)

    def give(self, block: Block, *, taken: bool = True) -> bool:
        """A filled block. Bytes that were brought before are not brought again: the first copy counts. False: nothing to do."""
        with self._lock:
            self._lent -= taken
            fits = self.failure is None and not self.over and block.trim(self.brought)
            if fits:
                self.brought.add(block.start, block.stop)
                self._front = self.brought.end_from(self._front)
                self._busy += 1
                self._to_write.append(block)
                self._wake()
        if not fits:
            self._buffers.give(block.memory)
        return fits

    def end_promise(self, promised: Promised) -> None:
        """Its lane was closed before its end: what came counts as bytes that nobody promised."""
        with self._lock:
            promised.void = True
            for span in promised.pieces:
                self.written.add(*span)
            promised.pieces.clear()
            self._advance()
            self._wake()
        self._let_loose()

    def insist(self) -> None:
        """Raise what failed."""
        if self.failure is not None:
            raise self.failure

    def insist_kept(self) -> None:
        """Raise, once, that a promise was broken; its bytes are forgotten already."""
        error, self._broken = self._broken, None
        if error is not None:
            raise error

    def fail(self, error: Exception) -> None:
        with self._lock:
            self.failure = self.failure or error
        self.drop()

    # The threads

    def next_to_write(self) -> list[Block]:
        """Blocks that follow each other, at most GATHER. Waits; none at the end. Not while more is unsynced than may be lost."""
        with self._lock:
            self._writer.wait_for(lambda: self._ended or self._may_write)
            batch: list[Block] = []
            while not self._ended and (place := self._next_of(batch)) is not None:
                batch.append(self._to_write[place])
                del self._to_write[place]
            self._writing = len(batch)
            return batch

    def wrote(self, batch: list[Block]) -> None:
        """They are in the file (or something failed)."""
        with self._lock:
            self._writing = 0
            self._busy -= len(batch)
            for block in batch:
                self._wrote(block)
            self._wake()
        self._let_loose()

    def next_to_hash(self) -> Block | Span | None:
        """A block in memory, or a span to read back. Waits; None at the end."""
        while True:
            with self._lock:
                if self._hasher.wait_for(lambda: self._ended or self._to_hash, LOOK):
                    self._hashing = None if self._ended else self._to_hash.popleft()
                    return self._hashing
            self._buffers.ring()

    def hashed_to(self, offset: int, state: bytes | None) -> None:
        self._progress = offset, state

    def did_hash(self, item: Block | Span) -> None:
        with self._lock:
            self._hashing = None
            if isinstance(item, Block):
                self._busy -= not item.early
            else:
                self._to_read -= item[1] - item[0]
            self._wake()
        if isinstance(item, Block):
            self._buffers.give(item.memory)

    def due(self) -> bool:
        """Waits until a sync is due; False at the end."""
        with self._lock:
            while not self._ended:
                wait = self._synced_at + self._seconds - time.monotonic() if self._unsynced else self._seconds
                if self._unsynced >= self.every or wait <= 0:
                    return True
                self._syncer.wait(wait)
            return False

    # The owner

    def start(self) -> None:
        """What is here and not hashed is to be read back."""
        with self._lock:
            self._advance()
            self._wake()
        self._let_loose()

    def safe(self) -> Safe:
        """What the next sync makes safe."""
        with self._lock:
            hashed, state = self._progress
            return Safe(extents=self.written.spans, hashed=hashed, state=state, fresh=self._unsynced)

    def synced(self, safe: Safe) -> None:
        with self._lock:
            self._unsynced -= safe.fresh
            self._synced_at = time.monotonic()
            self._wake()
        self._buffers.ring()

    @property
    def unsynced(self) -> int:
        return self._unsynced

    def wait_written(self) -> None:
        """Until everything that was given is written, or something failed."""
        with self._lock:
            self._owner.wait_for(lambda: self.failure is not None or self._all_written)

    def wait_settled(self, seconds: float) -> bool:
        """Until all is written, hashed as far as it goes without a hole, and synced where that is due; or something failed."""
        with self._lock:
            return self._owner.wait_for(lambda: self.failure is not None or self._settled, seconds)

    def end(self) -> None:
        """The threads come to their end."""
        with self._lock:
            self.over = True
            self._wake()

    def drop(self) -> None:
        """Give back all memory but what a thread has in hand."""
        with self._lock:
            on_their_way = [*self._to_write, *(item for item in self._to_hash if isinstance(item, Block))]
            self._busy -= sum(not block.early for block in on_their_way)
            self._to_write.clear()
            self._to_hash.clear()
            self._feed = self.hashed
            self._to_read = self._hashing[1] - self._hashing[0] if isinstance(self._hashing, tuple) else 0
            self._wake()
            self._loose += [block.memory for block in (*self._early.empty(), *on_their_way)]
        self._let_loose()

    def _let_loose(self) -> None:
        """Memory that nobody needs any more goes back, and those who wait hear of it."""
        if self._loose:
            with self._lock:
                loose, self._loose = self._loose, []
            for memory in loose:
                self._buffers.give(memory)
        self._buffers.ring()

    def _has_room(self, at: int, patient: bool) -> bool:
        return self.places > 0 and not (patient and at > self._front and self._buffers.scarce)

    @property
    def _at_risk(self) -> int:
        """Bytes that a kill would cost, with what connections are about to fill."""
        return self._unsynced + (self._lent + len(self._to_write) + self._writing) * BLOCK

    # Under the lock

    def _wake(self) -> None:
        """After a change: those who have something to do now, and nobody else; each would ask for the interpreter."""
        if self._ended:
            for waiter in (self._writer, self._hasher, self._syncer, self._owner):
                waiter.notify_all()
            return
        if self._may_write:
            self._writer.notify()
        if self._to_hash:
            self._hasher.notify()
        if self._unsynced >= self.every:
            self._syncer.notify()
        if self._all_written:
            self._owner.notify_all()

    @property
    def _may_write(self) -> bool:
        return bool(self._to_write) and self._unsynced < 2 * self.every

    @property
    def _ended(self) -> bool:
        return self.over or self.failure is not None

    @property
    def _all_written(self) -> bool:
        return not self._to_write and not self._writing

    @property
    def _settled(self) -> bool:
        hashed = not self._to_hash and self._hashing is None
        return self._all_written and hashed and self._unsynced < self.every

    def _next_of(self, batch: list[Block]) -> int | None:
        """Where the next for the batch waits, whoever brought it: several connections bring their blocks in turns."""
        if not batch or len(batch) == GATHER or batch[-1].promised is not None:
            return 0 if self._to_write and not batch else None
        end, waiting = batch[-1].stop, enumerate(self._to_write)
        return next((place for place, block in waiting if block.start == end and block.promised is None), None)

    def _wrote(self, block: Block) -> None:
        if self.failure is not None:
            self._loose.append(block.memory)
            return
        self._unsynced += block.stop - block.start
        if block.promised is not None:
            self._redeem(block, block.promised)
            self._loose.append(block.memory)
        else:
            self.written.add(block.start, block.stop)
            self._keep(block)
        self._advance()

    def _keep(self, block: Block) -> None:
        """For the hash: what comes next in any case, what came early as long as there is memory."""
        free: Block | None = block
        if block.start == self._feed and not self._rereads and self._behind <= BEHIND:
            free = None
            self._busy += 1
            self._feed_with(block)
        elif block.start != self._feed and not self._rereads:
            free = self._early.keep(block)
        if free is not None:
            self._loose.append(free.memory)

    def _feed_with(self, block: Block) -> None:
        self._to_hash.append(block)
        self._feed = block.stop

    @property
    def _behind(self) -> int:
        """Bytes that are to be read back before anything else is hashed; right without the lock, too."""
        hashing = self._hashing
        return self._to_read - (max(0, self.hashed - hashing[0]) if isinstance(hashing, tuple) else 0)

    def _redeem(self, block: Block, promised: Promised) -> None:
        """The pieces of a promise count when it is kept, or can never be proven; else they are forgotten."""
        kept = promised.settle(block.start, block.stop)
        if kept is None:
            return
        if not kept:
            self._broken = promised.broken
        for span in promised.pieces:
            (self.written.add if kept else self.brought.remove)(*span)
        promised.pieces.clear()

    def _advance(self) -> None:
        """Hand to the hash what follows without a hole."""
        while True:
            if (block := self._early.pop(self._feed)) is not None:
                if self._behind <= BEHIND:
                    self._feed_with(block)
                    continue
                self._loose.append(block.memory)
            stop = self.written.end_from(self._feed)
            if stop <= self._feed:
                return
            self._read_back(min(stop, self._early.after(self._feed) or stop))

    def _read_back(self, stop: int) -> None:
        start = self._feed
        self._to_read += stop - start
        if self._to_hash and isinstance(tail := self._to_hash[-1], tuple):
            start = tail[0]
            self._to_hash.pop()
        self._to_hash.append((start, stop))
        self._feed = stop
