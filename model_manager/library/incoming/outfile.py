"""An unfinished file as bytes at offsets: written past the page cache where that works, blocks set aside ahead, holes seen."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from model_manager.errors import NoSpace
from model_manager.library.disk import NO_SUCH_CALL, Disk, punch, start_writing
from model_manager.library.incoming.extents import Extents
from model_manager.library.volume import Volume, first_hole

ALIGN: Final = 4096
"""Offset, length and memory of a direct write are multiples of this: the largest logical block of disks in use."""

STEP: Final = 256 * 1024 * 1024
"""Bytes that are set aside at once."""

Charge = Callable[[int], None]
"""Called with the bytes that are about to be taken from the file system; may raise NoSpace."""


class OutFile:
    """Methods raise OSError. Writing and reading may go on at once from two threads; `close` when both are over."""

    def __init__(self, fd: int, disk: Disk, volume: Volume, here: Extents) -> None:
        """`here`: what needs no more space."""
        self.fd = fd
        self.disk = disk
        self.volume = volume
        self.suspect = False
        """Whether the disk took fewer bytes than it was given: what it did with them is only known by reading."""
        self._preallocates = volume.preallocate
        self._taken = Extents(here.spans)
        self._direct = _past_the_cache(fd) if volume.direct else -1
        self._past_cache = self._direct >= 0
        if not self._past_cache:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def write(self, pieces: list[memoryview], offset: int) -> None:
        """All of them, one behind the other. Memory and offset have the same place within ALIGN, or direct writing ends."""
        left = sum(map(len, pieces))
        while left:
            size, direct = self._piece(offset, left)
            taken = self._written(list(_cut(pieces, 0, size)), offset, direct)
            self.suspect = self.suspect or 0 < taken < size
            pieces = list(_cut(pieces, taken, left))
            offset, left = offset + taken, left - taken

    def read(self, memory: memoryview, offset: int, size: int) -> int:
        """Bytes read into the beginning of `memory`, at most `size`, or 0 at the end of the file."""
        piece, direct = self._piece(offset, min(size, len(memory)))
        with memory[:piece] as view:
            try:
                return os.preadv(self._direct if direct else self.fd, [view], offset)
            except OSError as error:
                if not direct or error.errno != errno.EINVAL:
                    raise
                self._past_cache = False
                return os.preadv(self.fd, [view], offset)

    def make_room(self, start: int, stop: int, total: int | None, charge: Charge) -> None:
        """Charge what these bytes newly take, and set blocks aside ahead of them. Raises NoSpace."""
        for begin, end in list(self._taken.gaps(start, stop)):
            ahead = min(total, begin + STEP) if total is not None and self._preallocates else end
            _, ahead = next(self._taken.gaps(begin, max(ahead, end)))
            if ahead > end:
                try:
                    charge(ahead - begin)
                except NoSpace:
                    ahead = end
                    charge(end - begin)
            else:
                charge(end - begin)
            self._taken.add(begin, ahead if self._set_aside(begin, ahead) else end)

    def give_back(self, here: Extents) -> None:
        """Blocks that were set aside and are not needed now; the file ends after its last byte."""
        for start, stop in list(here.gaps(0, here.last)) if self._preallocates else ():
            with suppress(OSError):  # such a file is larger on the disk than it must be, and right
                punch(self.fd, start, stop - start)
        os.ftruncate(self.fd, here.last)
        self._taken = Extents(here.spans)

    def empty(self) -> None:
        """Forget every byte."""
        os.ftruncate(self.fd, 0)
        self._taken = Extents()
        self.suspect = False

    def drop(self, start: int, stop: int) -> None:
        """What is on the disk leaves the page cache, so that others keep theirs."""
        if self.volume.drop and start < stop:
            os.posix_fadvise(self.fd, start, stop - start, os.POSIX_FADV_DONTNEED)

    def whole(self, size: int) -> bool:
        """Whether every byte was written, as far as can be told without reading them."""
        return not self.suspect and first_hole(self.fd, size) == size

    def close(self) -> None:
        for fd in (self._direct, self.fd):
            if fd >= 0:
                os.close(fd)
        self._direct = self.fd = -1

    def _piece(self, offset: int, size: int) -> tuple[int, bool]:
        """How many of the next bytes go together, and whether past the cache."""
        if not self._past_cache:
            return size, False
        if odd := offset % ALIGN:
            return min(size, ALIGN - odd), False
        whole = size - size % ALIGN
        return (whole, True) if whole else (size, False)

    def _written(self, pieces: list[memoryview], offset: int, direct: bool) -> int:
        try:
            taken = self.disk.write(self._direct if direct else self.fd, pieces, offset)
        except OSError as error:
            if not direct or error.errno != errno.EINVAL:
                raise
            self._past_cache = False
            return 0
        if taken <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if not direct and self.volume.drop and taken >= 16 * ALIGN:
            with suppress(OSError):  # only a wish
                start_writing(self.fd, offset, taken)
        return taken

    def _set_aside(self, start: int, stop: int) -> bool:
        """Whether blocks were taken for all of it."""
        if not self._preallocates:
            return False
        try:
            self.disk.allocate(self.fd, start, stop - start)
        except OSError as error:
            if error.errno not in {*NO_SUCH_CALL, errno.ENOSPC, errno.EDQUOT}:
                raise
            self._preallocates = error.errno not in NO_SUCH_CALL
            return False
        return True


def _past_the_cache(fd: int) -> int:
    """A second descriptor of the same open file for direct writing, or -1 where that cannot be had."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return -1


def _cut(pieces: list[memoryview], start: int, stop: int) -> Iterator[memoryview]:
    """Bytes `start` to `stop` of all pieces together."""
    at = 0
    for piece in pieces:
        if at < stop and at + len(piece) > start:
            yield piece[max(0, start - at) : stop - at]
        at += len(piece)
