"""Unfinished downloads: bytes that survive a kill, that cost at most 64 MiB again, and that no other name ever shows.

Two files in `<root>/.model_manager_partial/`, on the file system of the final place: `<name>.<slot>.part` has the bytes,
`<name>.<slot>.part.json` the journal. The order of writing makes every crash harmless:

1. begin: journal (what object this is, 0 bytes synced), then bytes;
2. append: bytes; every 32 MiB fdatasync, then journal (that many synced);
3. open after a crash: the bytes are cut to what the journal says was synced;
4. finish: fsync, then journal (complete); after a crash here the file is finished again without the network.

What is hashed is what was read back from the file, not what was handed in.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from model_manager.errors import Broken, Corrupt, OriginUnavailable, Stopped, Unavailable
from model_manager.facts.identity import Algorithm, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer, Received
from model_manager.library.disk import FULL, Disk, reason, translating, writing
from model_manager.library.hashing import CHUNK, Hasher, never
from model_manager.library.journal import Journal, bare, load, save
from model_manager.library.staging import HIDDEN, READABLE, busy, open_folder, own_file, part_name

SYNC_EVERY: Final = 32 * 1024 * 1024
"""Bytes between two syncs. With a batch in memory and what is in buffers, a kill or a power cut costs less than 64 MiB."""


class Partial:
    """One unfinished file, open for writing. Use from one thread at a time; a context manager that closes.

    Errors of the disk: NoSpace keeps what is here (close, then open again later); a failed sync means that nobody knows
    which bytes are on the disk, so the partial is discarded and DiskUnavailable raised: begin again from nothing.
    """

    def __init__(
        self,
        folder: int,
        fd: int,
        path: str,
        journal: Journal,
        algorithms: frozenset[Algorithm],
        disk: Disk,
        every: int,
    ) -> None:
        self.path = path
        self.fetched = 0
        self._folder = folder
        self._fd = fd
        self._journal = journal
        self._algorithms = algorithms
        self._disk = disk
        self._every = every
        self._offset = journal.synced
        self._hasher = Hasher(algorithms)
        self._hashed = 0

    @classmethod
    def open(
        cls,
        directory: str,
        shelf: ShelfPath,
        *,
        algorithms: frozenset[Algorithm] = frozenset(),
        disk: Disk | None = None,
        sync_every: int = SYNC_EVERY,
    ) -> Self:
        """The slot's unfinished file, cut to the bytes that were synced; empty when there is none that can go on.

        `directory` is `<root>/.model_manager_partial`; its parent must exist. `algorithms` are hashed besides SHA-256
        and BLAKE3. Raises AlreadyRunning when another process writes it, BadPath when it is no file of ours,
        DiskUnavailable and NoSpace.
        """
        path = os.path.join(directory, part_name(shelf))
        folder = open_folder(directory)
        try:
            with translating(path, "open"):
                fd = own_file(folder, path)
                try:
                    journal = _trusted(folder, fd, shelf, os.path.basename(path))
                    os.ftruncate(fd, journal.synced)
                    os.lseek(fd, journal.synced, os.SEEK_SET)
                except BaseException:
                    os.close(fd)
                    raise
        except BaseException:
            os.close(folder)
            raise
        partial = cls(folder, fd, path, journal, algorithms, disk or Disk(), sync_every)
        if journal.synced:
            partial._note(journal)
        return partial

    @property
    def offset(self) -> int:
        """Bytes that are here."""
        return self._offset

    @property
    def complete(self) -> bool:
        """Whether the last byte was there at the end of an earlier run: `finish` needs no network."""
        return self._journal.complete and self._offset == self._journal.synced

    @property
    def total(self) -> int | None:
        """Bytes of the whole object as its origin said, None when it did not."""
        return self._journal.total

    @property
    def url(self) -> str:
        """Where the bytes come from, without query; empty before the first."""
        return self._journal.url

    def resumable(self, url: str, pin: Pin | None = None) -> tuple[int, str | None]:
        """The offset to ask `url` for, and the strong validator that proves it the same object.

        Offset 0 when nothing proves it. An offset without validator: not the same address, but the same promised digest.
        """
        proven, validator = self._journal.goes_on_with(url, pin)
        return (self._offset, validator) if proven and self._offset else (0, None)

    def prepare(self, *, cancelled: Callable[[], bool] = never, progress: Callable[[int], None] | None = None) -> None:
        """Hash the bytes that are here, before going on. `progress` is told the bytes hashed so far.

        Raises Stopped when `cancelled` answers True; calling again goes on from there.
        """
        while self._hashed < self._offset:
            if cancelled():
                raise Stopped(what=f"Reading {self.path}")
            self._hash(min(self._offset, self._hashed + CHUNK))
            if progress is not None:
                progress(self._hashed)

    def begin(self, url: str, offer: Offer, pin: Pin | None = None) -> None:
        """Start, or go on, under what an origin offers; from here on `append` follows at `offer.start`.

        An offer that starts at 0 discards what is here. Raises Corrupt when the offer starts elsewhere or contradicts
        what is known of the object, and errors of the disk.
        """
        if offer.start == 0:
            self.restart()
        elif offer.start != self._offset:
            raise self._corrupt(offer.host, f"it begins at byte {offer.start} instead of {self._offset}")
        else:
            self._insist_same(url, offer)
            self.prepare()
        self._note(self._journal.under(url, offer, pin))

    def append(self, data: bytes) -> None:
        """Write bytes at the end and hash them. Raises Corrupt beyond the announced length, and errors of the disk."""
        total = self._journal.total
        if total is not None and self._offset + len(data) > total:
            raise self._corrupt(self._journal.host, f"more than its {total} bytes came")
        with translating(self.path, "write"):
            for taken in writing(self._disk, self._descriptor(), data):
                self._offset += taken
                self.fetched += taken
        if self._offset - self._hashed >= CHUNK:
            self._hash(self._offset)
        if self._offset - self._journal.synced >= self._every:
            self.sync()

    def sync(self) -> None:
        """Make every byte so far survive a power cut, and write that down."""
        self._insist_ours()
        self._synced(self._disk.sync_data)
        self._note(replace(self._journal, synced=self._offset))

    def restart(self) -> None:
        """Forget the bytes that are here."""
        if self._offset or self._journal.synced:
            self._note(Journal(slot=self._journal.slot, writer=self._journal.writer))
        with translating(self.path, "truncate"):
            os.ftruncate(self._descriptor(), 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.fchmod(self._fd, HIDDEN)
        self._offset, self._hashed, self._hasher = 0, 0, Hasher(self._algorithms)

    def finish(self) -> Received:
        """Sync the whole file, count it again and give its digests. It has no name yet: judge it, then place it.

        It is readable by everybody then and executable by nobody, whatever the umask. Raises OriginUnavailable (go on
        later) when bytes are missing, Corrupt when the disk has other bytes than were written, and errors of the disk.
        """
        total, host = self._journal.total, self._journal.host
        if total is not None and self._offset < total:
            raise OriginUnavailable(host=host, name=self.path, why=f"it ended after {self._offset} of {total} bytes")
        self._insist_ours()
        self.prepare()
        with translating(self.path, "change the mode of"):
            os.fchmod(self._descriptor(), READABLE)
        self._synced(self._disk.sync)
        if os.fstat(self._fd).st_size != self._offset:
            raise self._spoilt()
        self._note(replace(self._journal, synced=self._offset, complete=True))
        return Received(
            size=self._offset,
            digests=self._hasher.digests(),
            promise=self._journal.promise,
            host=host,
            validator=self._journal.validator,
            fetched=self.fetched,
        )

    def discard(self) -> None:
        """Remove bytes and journal, durably enough, and close. After placing, only the journal is left to remove.

        Raises DiskUnavailable.
        """
        if self._fd < 0:
            return
        name = os.path.basename(self.path)
        with translating(self.path, "remove"):
            try:
                for each in (f"{name}.json", name):
                    with suppress(FileNotFoundError):
                        os.unlink(each, dir_fd=self._folder)
            finally:
                self._shut()

    def close(self) -> None:
        """Keep what is here for the next start. What cannot be synced any more is fetched again."""
        if self._fd < 0:
            return
        try:
            if self._offset > self._journal.synced and self._journal.url:
                with suppress(Unavailable):  # the journal names the last byte that is safe, with or without this sync
                    self.sync()
        finally:
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _descriptor(self) -> int:
        if self._fd < 0:
            raise Broken(what=f"The unfinished file {self.path} was used after it was closed.")
        return self._fd

    def _shut(self) -> None:
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1

    def _hash(self, end: int) -> None:
        """Hash up to `end` what a reader of the file gets."""
        while self._hashed < end:
            with translating(self.path, "read"):
                data = os.pread(self._descriptor(), min(CHUNK, end - self._hashed), self._hashed)
            if not data:
                raise self._spoilt()
            self._hasher.update(data)
            self._hashed += len(data)

    def _synced(self, call: Callable[[int], None]) -> None:
        try:
            call(self._descriptor())
        except OSError as error:
            if error.errno in FULL:
                self._shut()
            else:
                self.discard()
            raise reason(error, self.path, "sync") from error

    def _note(self, journal: Journal) -> None:
        with translating(f"{self.path}.json", "write"):
            self._descriptor()
            save(self._disk, self._folder, f"{os.path.basename(self.path)}.json", journal)
        self._journal = journal

    def _insist_ours(self) -> None:
        """Where locks do not work (some network mounts), the last one to open goes on and the others step back."""
        with translating(f"{self.path}.json", "read"):
            current = load(self._folder, f"{os.path.basename(self.path)}.json") if self._fd >= 0 else self._journal
        if current is None or current.writer != self._journal.writer:
            self._shut()
            raise busy(self.path)

    def _insist_same(self, url: str, offer: Offer) -> None:
        known = self._journal
        for what, before, now in (
            ("length", known.total, offer.size),
            ("ETag", known.validator if known.url == bare(url) else None, offer.validator),
            ("digest", known.promise, offer.promise),
        ):
            if before is not None and now is not None and before != now:
                raise self._corrupt(offer.host, f"its {what} was {before} and is {now} now")

    def _corrupt(self, host: str, why: str) -> Corrupt:
        return Corrupt(name=self._journal.slot, host=host, why=why)

    def _spoilt(self) -> Corrupt:
        self.discard()
        return self._corrupt("the local disk", "the file does not have the bytes that were written")


def _trusted(folder: int, fd: int, shelf: ShelfPath, name: str) -> Journal:
    """The journal, as far as it fits the slot and the bytes."""
    slot, writer = "/".join(shelf.slot), secrets.token_hex(8)
    found = load(folder, f"{name}.json")
    if found is None or found.slot != slot or not 0 < found.synced <= os.fstat(fd).st_size:
        return Journal(slot=slot, writer=writer)
    return replace(found, writer=writer)
