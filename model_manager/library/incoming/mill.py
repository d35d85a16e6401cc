"""The threads of one file: one writes blocks, one hashes them (or one each kind of digest), one syncs beside both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from model_manager.errors import Corrupt, Stopped
from model_manager.library.contents.hashing import Hasher, never
from model_manager.library.disk import reason
from model_manager.library.incoming.block import Block, Safe
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.extents import Span
from model_manager.library.incoming.outfile import Charge, OutFile
from model_manager.library.incoming.spool import Spool

LOOK: Final = 0.1
"""Seconds between two looks at whether a caller who waits was cancelled."""

Update = Callable[[memoryview], None]


class Mill:
    """Threads begin with the first work and end with `close`. What fails in one is raised by the next call of the spool."""

    def __init__(
        self,
        path: str,
        out: OutFile,
        spool: Spool,
        hasher: Hasher,
        syncing: Callable[[Safe], None],
        buffers: Buffers,
    ) -> None:
        """`syncing`: make these bytes durable and write that down. `buffers`: what all files share of memory and cores."""
        self.charge: Charge = _free_of_charge
        self.total: int | None = None
        self.spoilt = False
        """Whether the file turned out not to have the bytes that were written."""
        self._path = path
        self._out = out
        self._spool = spool
        self._hasher = hasher
        self._syncing = syncing
        self._buffers = buffers
        self._one_sync = threading.Lock()
        self._dropped = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        if not self._threads:
            self._spool.start()
            works = {"write": self._write, "hash": self._hash}
            if self.total is None or self.total >= self._spool.every:  # a smaller file is synced once, at its end
                works["sync"] = self._sync
            self._threads = [
                threading.Thread(target=self._guarded, args=(work,), name=f"model-{name}", daemon=True)
                for name, work in works.items()
            ]
            for thread in self._threads:
                thread.start()

    def settle(self, cancelled: Callable[[], bool] = never, progress: Callable[[int], None] | None = None) -> None:
        """Wait for all three. `progress` is told the bytes hashed so far.

        Raises what failed, a PieceCorrupt once, and Stopped when `cancelled` answers True.
        """
        self.start()
        while not self._spool.wait_settled(LOOK):
            if progress is not None:
                progress(self._spool.hashed)
            if cancelled():
                raise Stopped(what=f"Reading {self._path}")
        self._spool.insist()
        self._spool.insist_kept()
        if progress is not None:
            progress(self._spool.hashed)

    def sync(self) -> None:
        """Make everything that was given survive a power cut. Raises what failed."""
        self._spool.wait_written()
        self._spool.insist()
        self._sync_once()

    def close(self) -> None:
        """Everything given is written, the threads are over, all memory is given back. Hashing ends where it is."""
        self._spool.wait_written()
        self._spool.end()
        for thread in self._threads:
            thread.join()
        self._spool.drop()

    def digest_again(self, size: int, cancelled: Callable[[], bool], hasher: Hasher) -> None:
        """Read the whole file into another hasher. Raises OSError, Stopped, and Corrupt when it is too short."""
        at = 0
        while at < size:
            if cancelled():
                raise Stopped(what=f"Reading {self._path}")
            at += self._read((at, size), hasher.update)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._spool.fail(reason(error, self._path, "write or read"))
        except Exception as error:
            self._spool.fail(error)

    def _write(self) -> None:
        while batch := self._spool.next_to_write():
            try:
                self._write_out(batch)
            except OSError as error:
                self._spool.fail(reason(error, self._path, "write"))
            except Exception as error:
                self._spool.fail(error)
            finally:
                self._spool.wrote(batch)

    def _write_out(self, batch: list[Block]) -> None:
        self._out.make_room(batch[0].start, batch[-1].stop, self.total, self.charge)
        self._out.write([block.view() for block in batch], batch[0].start)
        for block in batch:
            if block.promised is not None:
                block.promised.hasher.update(block.view())

    def _hash(self) -> None:
        with _beside(self._hasher) as update:
            while (item := self._spool.next_to_hash()) is not None:
                try:
                    if isinstance(item, Block):
                        with item.view() as view, self._buffers.hashing:
                            update(view)
                        self._note(item.stop)
                    else:
                        self._read_back(item, update)
                finally:
                    self._spool.did_hash(item)

    def _read_back(self, span: Span, update: Update) -> None:
        at, stop = span
        while at < stop and not self._spool.over and self._spool.failure is None:
            at += self._read((at, stop), update)
            self._note(at)

    def _read(self, span: Span, update: Update) -> int:
        start, stop = span
        with self._buffers.reading() as memory:
            got = self._out.read(memory, start, min(BLOCK - start % BLOCK, stop - start))
            if not got:
                self.spoilt = True
                raise spoilt(self._path)
            with memory[:got] as view, self._buffers.hashing:
                update(view)
        return got

    def _note(self, offset: int) -> None:
        self._spool.hashed_to(offset, None if self._out.suspect else self._hasher.save())

    def _sync(self) -> None:
        while self._spool.due():
            self._sync_once()

    def _sync_once(self) -> None:
        with self._one_sync:
            safe = self._spool.safe()
            try:
                self._syncing(safe)
            except Exception as error:
                self._spool.fail(error)
                raise
            self._spool.synced(safe)
        self._out.drop(max(0, self._dropped - BLOCK), safe.hashed)
        self._dropped = safe.hashed


@contextmanager
def _beside(hasher: Hasher) -> Iterator[Update]:
    """What hashes bytes on as many threads as the hasher has shares; it returns when each has seen them."""
    first, *others = hasher.shares()
    if not others:
        yield first
        return
    with ThreadPoolExecutor(len(others), "model-hash") as pool:

        def update(data: memoryview) -> None:
            waiting = [pool.submit(share, data) for share in others]
            first(data)
            for one in waiting:
                one.result()

        yield update


def spoilt(path: str) -> Corrupt:
    return Corrupt(name=path, host="the local disk", why="the file does not have the bytes that were written")


def _free_of_charge(size: int) -> None:
    """Nobody counts the space."""
