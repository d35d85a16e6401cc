"""Unfinished downloads: bytes that survive a kill, that cost at most 64 MiB again, and that no other name ever shows.

Two files in `<root>/.model_manager_partial/`, on the file system of the final place: `<name>.<slot>.part` has the bytes,
`<name>.<slot>.part.json` the journal. The order of writing makes every crash harmless:

1. begin: journal (what object this is, which extents are synced), then bytes, anywhere in the file;
2. every 20 MiB or 5 s beside the writing: fdatasync, then journal (the extents that were written before it);
3. open after a crash: what the journal does not name is not here, and the file is cut behind its last extent;
4. finish: fsync, then journal (complete); after a crash here the file is finished again without the network.

Bytes are hashed from memory after they were written, or read back. A write that did nothing leaves a hole, which is looked
for at the end; where holes cannot be trusted everything is read back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from model_manager.errors import AlreadyRunning, Broken, Unavailable
from model_manager.facts.identity import Algorithm, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer, Received
from model_manager.library.contents.hashing import Hasher, never
from model_manager.library.disk import FULL, Disk, reason, translating
from model_manager.library.incoming.block import Block, Safe
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.incoming.extents import Extents, Span
from model_manager.library.incoming.journal import Journal
from model_manager.library.incoming.lane import Gate, Lane, fill
from model_manager.library.incoming.ledger import Ledger, entered
from model_manager.library.incoming.mill import Mill
from model_manager.library.incoming.outfile import Charge, OutFile
from model_manager.library.incoming.sealing import as_received, length, proven, taken_up, written
from model_manager.library.incoming.staging import HIDDEN, READABLE
from model_manager.library.incoming.whole import Whole
from model_manager.library.volume import volume_of

SYNC_EVERY: Final = 20 * 1024 * 1024
"""Bytes between two syncs. Writing waits where twice as many are unsynced; with what is in buffers, a kill or a power cut
costs less than 64 MiB."""

AT_ONCE: Final = 16 * 1024 * 1024
"""Bytes of an object that may be in memory whole before any of it is written: a kill costs no more than of larger ones."""

Judge = Callable[[bytes], str | None]


class Partial:
    """One unfinished file, open for writing; a context manager that closes.

    Its methods block and are called from one thread at a time; `lane`, the numbers and what lanes do never block. Errors of
    the disk: NoSpace keeps what is here (close, then open again later); a failed sync means that nobody knows which bytes
    are on the disk, so the partial is discarded and DiskUnavailable raised: begin again from nothing.
    """

    def __init__(
        self,
        ledger: Ledger,
        fd: int,
        algorithms: frozenset[Algorithm],
        buffers: Buffers,
        every: int,
        seconds: float,
    ) -> None:
        self.path = ledger.path
        self.fetched = 0
        self._ledger = ledger
        self._algorithms = algorithms
        self._buffers = buffers
        self._every = every
        self._seconds = seconds
        self._counting = threading.Lock()
        self._lost = False
        self.closed = False
        self._gate: Gate | None = None
        self._out = OutFile(fd, ledger.disk, volume_of(fd), Extents(ledger.journal.extents))
        buffers.join()
        self._set_up()

    @classmethod
    def open(
        cls,
        directory: str,
        shelf: ShelfPath,
        *,
        algorithms: frozenset[Algorithm] = frozenset({"sha256"}),
        buffers: Buffers | None = None,
        disk: Disk | None = None,
        top: int | None = None,
        sync_every: int = SYNC_EVERY,
        sync_seconds: float = 5.0,
    ) -> Self:
        """The slot's unfinished file with the bytes that were synced; empty when there is none that can go on.

        `directory` is `<root>/.model_manager_partial`; its parent must exist, and `top` is the descriptor of that, where its volume
        may go at any time. `algorithms` are what is hashed. Files that are
        open at once share `buffers`. Raises AlreadyRunning when another process writes it, BadPath when it is no file of
        ours, DiskUnavailable and NoSpace.
        """
        ledger, fd = entered(directory, shelf, disk or Disk(), top=top)
        partial = cls(ledger, fd, algorithms, buffers or Buffers(), sync_every, sync_seconds)
        if ledger.journal.extents:
            try:
                ledger.note(lambda known: known)
            except BaseException:
                partial._shut()
                raise
        return partial

    @property
    def here(self) -> int:
        """Bytes that came, in this run or before."""
        return self._spool.brought.size

    @property
    def reached(self) -> int:
        """The first byte that is missing."""
        return self._spool.brought.end_from(0)

    @property
    def hashed(self) -> int:
        """Bytes from the beginning that are hashed."""
        return self._spool.hashed

    @property
    def complete(self) -> bool:
        """Whether the last byte was there at the end of an earlier run: `finish` needs no network."""
        return self._ledger.journal.complete and self.here == self._ledger.journal.reached

    @property
    def total(self) -> int | None:
        """Bytes of the whole object as its origin said, None when it did not."""
        return self._ledger.journal.total

    @property
    def url(self) -> str:
        """Where the bytes come from, without query; empty before the first."""
        return self._ledger.journal.url

    def missing(self) -> tuple[Span, ...]:
        """Spans that nobody has brought, in order; what a lane has not handed over is missing yet. Raises Broken while the
        length is unknown."""
        if self.total is None:
            raise Broken(what=f"What {self.path} lacks was asked before its length was known.")
        return tuple(self._spool.brought.gaps(0, self.total))

    def resumable(self, url: str, pin: Pin | None = None) -> tuple[int, str | None]:
        """The offset to ask `url` for, and the strong validator that proves it the same object.

        Offset 0 when nothing proves it. An offset without validator: not the same address, but the same promised digest.
        """
        proven, validator = self._ledger.journal.goes_on_with(url, pin)
        return (self.reached, validator) if proven and self.reached else (0, None)

    def begin(
        self,
        url: str,
        offer: Offer,
        pin: Pin | None = None,
        *,
        judge: Judge = lambda head: None,
        writing: Charge = lambda size: None,
        most: int | None = None,
    ) -> None:
        """Start, or go on, under what an origin offers; from here on lanes may bring what is missing.

        An offer that starts at 0 discards what is here, unless address, length and strong ETag prove it the same object.
        `judge` is given the beginning, at least 1024 bytes of a file that has so many, before anything of it is written, and
        says why it is no model's. `writing` is called with bytes that are about to be taken from the file system and may
        raise NoSpace. `most`: bytes that an object of unknown length may have.

        Raises Corrupt when the offer starts elsewhere or contradicts what is known of the object, and errors of the disk.
        """
        self._insist_open()
        if offer.start == 0 and not (self.here and self._ledger.journal.same_as(url, offer)):
            self.restart()
        else:
            self._ledger.journal.insist_goes_on(url, offer, self.reached)
            self._spool.insist()
        self._ledger.note(lambda known: known.under(url, offer, pin), lasting=False)
        total = self._ledger.journal.total
        self._gate = Gate(
            name=self._ledger.journal.slot,
            host=offer.host,
            judge=judge,
            total=total,
            most=most,
            judged=self.reached > 0,
        )
        self._mill.charge, self._mill.total = writing, total
        self._mill.start()

    def lane(self, start: int, stop: int | None) -> Lane:
        """A way in for bytes from `start` to `stop` (None: to the end). Several may be open at once, for different bytes."""
        self._insist_open()
        if self._gate is None:
            raise Broken(what=f"A lane into {self.path} was opened before it was known what comes.")
        return Lane(self._spool, self._buffers, self._gate, self._tally, start, stop)

    def whole(self, offer: Offer, *, judge: Judge, short: Callable[[], None]) -> Whole | None:
        """Memory for a short object of which nothing is here; None where bytes must be written as they come."""
        if self.here or offer.start or not 0 < (offer.size or 0) <= AT_ONCE or not self._out.volume.holes:
            return None
        return Whole.of(offer, self._ledger.journal.slot, self._buffers, judge, short)

    def adopt(self, blocks: list[Block]) -> int:
        """Bytes from the beginning that came before it was known that they would be written as they come; where they end."""
        for block in blocks:
            self._tally(block.stop - block.start)
            self._spool.give(block, taken=False)
        return blocks[-1].stop if blocks else 0

    def seal(
        self, whole: Whole, url: str, offer: Offer, pin: Pin | None = None, *, writing: Charge = lambda size: None
    ) -> Received:
        """Write, hash and sync all of an object, as `begin`, lanes and `finish` would; its memory is given back."""
        self._insist_open()
        with self._minding(), translating(self.path, "write"):
            written(self._out, whole.views(), self._hasher, writing)
            whole.drop()
            self._tally(whole.size)
            os.fchmod(self._out.fd, READABLE)
            self._durable(self._ledger.disk.sync)
            digests = proven(
                self.path, self._mill, self._out, whole.size, (self._hasher, Hasher(self._algorithms)), never
            )
        for extents in (self._spool.brought, self._spool.written):
            extents.add(0, whole.size)
        self._ledger.note(
            lambda known: replace(known.under(url, offer, pin), extents=((0, whole.size),), complete=True),
            lasting=False,
        )
        return as_received(self._ledger.journal, whole.size, digests, self.fetched)

    def settle(self) -> None:
        """Wait until everything handed in is written, hashed as far as it goes without a hole, and synced where due.

        Raises the first failure; PieceCorrupt where only the range of one lane was forgotten.
        """
        self._insist_open()
        with self._minding():
            self._mill.settle()

    def sync(self) -> None:
        """Make everything handed in survive a power cut, and write that down. Raises the first failure."""
        self._insist_open()
        with self._minding():
            self._mill.sync()

    def restart(self) -> None:
        """Forget the bytes that are here, and what failed. Lanes that are open lead nowhere from now on."""
        self._insist_open()
        if self._lost:
            self._spool.insist()
        self._mill.close()
        if self.here or self._ledger.journal.extents:
            self._ledger.note(lambda known: Journal(slot=known.slot, writer=known.writer))
        with translating(self.path, "truncate"):
            self._out.empty()
            os.fchmod(self._out.fd, HIDDEN)
        self._set_up()

    def finish(self, cancelled: Callable[[], bool] = never, progress: Callable[[int], None] | None = None) -> Received:
        """Hash what is not yet hashed, sync the whole file, count it again and give its digests. It has no name yet: judge it,
        then place it. `progress` is told the bytes hashed so far.

        It is readable by everybody then and executable by nobody, whatever the umask. Raises OriginUnavailable (go on
        later) when bytes are missing, Corrupt when the disk has other bytes than were written, Stopped when `cancelled`
        answers True (call again to go on), and errors of the disk.
        """
        self._insist_open()
        with self._minding():
            self._take_short()
            self._mill.settle(cancelled, progress)
            size = length(self.path, self._ledger.journal, self._spool.written)
            self._ledger.insist_ours()
            with translating(self.path, "change the mode of"):
                os.fchmod(self._out.fd, READABLE)
            self._durable(self._ledger.disk.sync)
            digests = proven(
                self.path, self._mill, self._out, size, (self._hasher, Hasher(self._algorithms)), cancelled
            )
        safe = self._spool.safe()
        self._ledger.note(
            lambda known: replace(known.with_safe(safe.extents, safe.hashed, safe.state), complete=True),
            lasting=size > self._every,
        )
        return as_received(self._ledger.journal, size, digests, self.fetched)

    def discard(self, *, placed: bool = False) -> None:
        """Remove bytes and journal, durably enough, and close. Once `placed`, only the journal is left to remove.

        Raises DiskUnavailable.
        """
        if self.closed:
            return
        self._mill.close()
        try:
            self._ledger.remove(journal_only=placed)
        finally:
            self._shut()

    def close(self) -> None:
        """Write what was handed in, end the threads and keep what is here for the next start.

        What cannot be synced any more is fetched again.
        """
        if self.closed:
            return
        self._mill.close()
        try:
            if self._ledger.journal.url and not self._lost:
                with suppress(Unavailable, AlreadyRunning):  # the journal names what is safe, with or without this sync
                    self._keep()
        finally:
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_up(self) -> None:
        """What works on the bytes that the journal names."""
        known, holes = self._ledger.journal, self._out.volume.holes
        self._hasher, self._spool = taken_up(
            known, self._algorithms, self._buffers, every=self._every, seconds=self._seconds, rereads=not holes
        )
        self._mill = Mill(self.path, self._out, self._spool, self._hasher, self._make_safe, self._buffers)

    def _take_short(self) -> None:
        """An object of unknown length that ended before its beginning could be judged."""
        if self._gate is not None and not self.here and (short := self._gate.short):
            lane = self.lane(0, len(short))
            fill(lane, short)
            lane.close()
            self.fetched -= len(short)

    def _tally(self, size: int) -> None:
        with self._counting:
            self.fetched += size

    def _make_safe(self, safe: Safe) -> None:
        """Durable first, then written down."""
        try:
            self._ledger.insist_ours()
        except AlreadyRunning:
            self._lost = True
            raise
        self._durable(self._ledger.disk.sync_data)
        self._ledger.note(lambda known: known.with_safe(safe.extents, safe.hashed, safe.state))

    def _durable(self, call: Callable[[int], None]) -> None:
        """After a failed sync nobody knows what is on the disk, and another sync may say that all is well."""
        try:
            call(self._out.fd)
        except OSError as error:
            self._lost = True
            if error.errno not in FULL:
                self._ledger.remove()
            raise reason(error, self.path, "sync") from error

    def _keep(self) -> None:
        with translating(self.path, "truncate"):
            self._out.give_back(self._spool.written)
        if self._spool.unsynced:
            self._make_safe(self._spool.safe())

    @contextmanager
    def _minding(self) -> Iterator[None]:
        """What has become worthless is closed at once; bytes that are not those that were written are removed."""
        try:
            yield
        except Exception as error:
            if isinstance(error, AlreadyRunning) or self._lost:
                self._mill.close()
                self._shut()
            elif self._mill.spoilt:
                self.discard()
            raise

    def _insist_open(self) -> None:
        if self.closed:
            raise Broken(what=f"The unfinished file {self.path} was used after it was closed.")

    def _shut(self) -> None:
        if not self.closed:
            self.closed = True
            self._buffers.leave()
            self._out.close()
            self._ledger.close()
