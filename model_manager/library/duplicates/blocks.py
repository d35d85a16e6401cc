"""Blocks that several files share: whether a file system can do that, where they lie, and how the kernel is asked to do it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from model_manager.library.disk import opened

CHUNK: Final = 16 * 1024 * 1024
"""Bytes that one call compares and shares: the most that btrfs and XFS take at once."""

_FIDEDUPERANGE: Final = 0xC0189436  # linux/fs.h
_FIEMAP: Final = 0xC020660B  # linux/fs.h, linux/fiemap.h
_ASKED = struct.Struct("=QQHHIqQQiI")  # struct file_dedupe_range with one file_dedupe_range_info
_DIFFERS: Final = 1
_HEADER = struct.Struct("=QQIIII")  # struct fiemap
_EXTENT = struct.Struct("=QQQQQIIII")  # struct fiemap_extent
_SYNC: Final = 1
_LAST: Final = 1
_NOWHERE: Final = 0x2 | 0x4 | 0x200 | 0x400
"""Extents without a place of their own: unknown, not allocated yet, inside the inode, packed with others' tails."""
_AT_ONCE: Final = 512
_MOST_EXTENTS: Final = 1_000_000


def shares_blocks(directory: str) -> bool:
    """Whether files of this directory can share blocks, tried with two nameless files that leave nothing behind.

    False also for directories that we may not write to.
    """
    flags = os.O_RDWR | os.O_TMPFILE
    try:
        with opened(directory, flags) as one, opened(directory, flags) as other:
            for fd in (one, other):
                os.write(fd, bytes(1 << 16))
                os.fsync(fd)
            return share(one, other, 0, 1 << 16) == 1 << 16
    except OSError:
        return False


def share(source: int, target: int, start: int, size: int) -> int | None:
    """Let the target's bytes lie in the source's blocks, after the kernel has compared them under both files' locks; how many
    bytes it were, from `start` on, or None when they differ. The target keeps its times (FIDEDUPERANGE). Raises OSError.
    """
    asked = bytearray(_ASKED.pack(start, size, 1, 0, 0, target, start, 0, 0, 0))
    fcntl.ioctl(source, _FIDEDUPERANGE, asked, True)
    *_, done, status, _reserved = _ASKED.unpack(asked)
    if status == _DIFFERS:
        return None
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    if done <= 0:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return int(done)


def layout(file: str) -> str | None:
    """Where the blocks of a file lie, in 32 hex digits, or None where that cannot be told. Two files of one file system that
    have the same one share their blocks: to replace one by the other would gain nothing.
    """
    told = hashlib.sha256()
    with suppress(OSError), opened(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW) as fd:
        told.update(b"%d\0" % os.fstat(fd).st_size)
        for logical, physical, length in _extents(fd):
            told.update(b"%d %d %d\0" % (logical, physical, length))
        return told.hexdigest()[:32]
    return None


def _extents(fd: int) -> Iterator[tuple[int, int, int]]:
    """(offset, place on the device, length) in bytes. Raises OSError, also for extents that lie nowhere."""
    start, seen, last = 0, 0, False
    while not last:
        room = bytearray(_HEADER.pack(start, 2**64 - 1 - start, _SYNC, 0, _AT_ONCE, 0)) + bytes(_EXTENT.size * _AT_ONCE)
        fcntl.ioctl(fd, _FIEMAP, room, True)
        count = _HEADER.unpack_from(room)[3]
        seen, last = seen + count, not count
        if seen > _MOST_EXTENTS:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        for number in range(count):
            logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(room, _HEADER.size + number * _EXTENT.size)
            if flags & _NOWHERE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            last = last or bool(flags & _LAST)
            start = logical + length
            yield logical, physical, length
