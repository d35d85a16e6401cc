"""The journal of one unfinished file as it stands on the disk: who may write it, and how it is replaced and removed."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from model_manager.facts.shelf import ShelfPath
from model_manager.library.disk import Disk, translating
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.journal import Journal, load, save
from model_manager.library.incoming.staging import busy, open_folder, own_file, part_name


class Ledger:
    """Thread-safe: the thread that syncs writes it beside the one that begins. Methods raise DiskUnavailable and NoSpace."""

    def __init__(self, folder: int, path: str, disk: Disk, journal: Journal) -> None:
        """`folder` is the descriptor of the directory of the unfinished file `path`; it is closed by `close`."""
        self.journal = journal
        self.disk = disk
        self._folder = folder
        self.path = path
        self._name = f"{os.path.basename(path)}.json"
        self._one = threading.Lock()

    def note(self, change: Callable[[Journal], Journal], *, lasting: bool = True) -> None:
        """Write down what `change` makes of the journal; it counts from the moment that it is on the disk.

        What need not be `lasting` is synced all the same where the journal before it names bytes: after a power cut that
        one could come back, and speak of another object.
        """
        with self._one, translating(f"{self.path}.json", "write"):
            journal = change(self.journal)
            save(self.disk, self._folder, self._name, journal, lasting=lasting or bool(self.journal.extents))
            self.journal = journal

    def insist_ours(self) -> None:
        """Raise AlreadyRunning when another process began after us: where locks do not work (some network mounts), the last
        one to open goes on and the others step back."""
        with translating(f"{self.path}.json", "read"):
            current = load(self._folder, self._name)
        if current is None or current.writer != self.journal.writer:
            raise busy(self.path)

    def remove(self, *, journal_only: bool = False) -> None:
        """Journal and bytes lose their names, the journal first; it alone when the bytes have another name already."""
        with self._one, translating(self.path, "remove"):
            for name in (self._name,) if journal_only else (self._name, os.path.basename(self.path)):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._folder)

    def close(self) -> None:
        os.close(self._folder)


def entered(directory: str, shelf: ShelfPath, disk: Disk, *, top: int | None = None) -> tuple[Ledger, int]:
    """The slot's ledger and the locked descriptor of its file, which ends behind what the journal names.

    `top`: the descriptor of the directory above. Raises AlreadyRunning, BadPath, DiskUnavailable and NoSpace.
    """
    path, folder = os.path.join(directory, part_name(shelf)), open_folder(directory, top=top)
    try:
        with translating(path, "open"):
            fd = own_file(folder, path)
            try:
                size = os.fstat(fd).st_size
                journal = _trusted(folder, size, shelf)
                if size != (last := Extents(journal.extents).last):
                    os.ftruncate(fd, last)
            except BaseException:
                os.close(fd)
                raise
    except BaseException:
        os.close(folder)
        raise
    return Ledger(folder, path, disk, journal), fd


def _trusted(folder: int, size: int, shelf: ShelfPath) -> Journal:
    """The journal under a new writer, as far as it fits the slot and the file of so many bytes; of an empty one nothing does."""
    slot, writer = "/".join(shelf.slot), secrets.token_hex(8)
    found = load(folder, f"{part_name(shelf)}.json") if size else None
    if found is None or found.slot != slot or not 0 < Extents(found.extents).last <= size:
        return Journal(slot=slot, writer=writer)
    return replace(found, writer=writer)
