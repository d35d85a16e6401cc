"""The calls that can lose bytes, in one class so that tests can make each fail; and what their failures mean."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from model_manager.errors import DiskUnavailable, NoInodes, NoSpace
from model_manager.facts.disk import Fingerprint

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_SUCH_CALL: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_RENAME_EXCHANGE: Final = 2
_KEEP_SIZE: Final = 1  # linux/falloc.h
_PUNCH_HOLE: Final = 2
_START_WRITING: Final = 2  # SYNC_FILE_RANGE_WRITE, linux/fs.h


class Disk:
    """Writing, syncing and renaming. Every method raises OSError; callers translate with `translating`."""

    def write(self, fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        """Bytes taken of all pieces together, which may be fewer than given."""
        return os.pwrite(fd, pieces[0], offset) if len(pieces) == 1 else os.pwritev(fd, pieces, offset)

    def allocate(self, fd: int, start: int, size: int) -> None:
        """Set blocks aside; the file gets no longer by it and reads as before (fallocate, FALLOC_FL_KEEP_SIZE)."""
        _call("fallocate", fd, _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(size))

    def sync_data(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        """Of a file, or of a directory (then its names are durable)."""
        os.fsync(fd)

    def replace(self, old: str, new: str, folder: int) -> None:
        """Rename within one directory, over whatever has the new name."""
        os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def exchange(self, one: str, other: str, folder: int) -> None:
        """Swap two names of one directory (renameat2); one of NO_SUCH_CALL where the file system cannot."""
        _call("renameat2", folder, os.fsencode(one), folder, os.fsencode(other), _RENAME_EXCHANGE)

    def rename(self, old: str, new: str, *, old_folder: int, new_folder: int) -> None:
        """Rename that fails with FileExistsError instead of replacing (renameat2, Linux 3.15).

        File systems without that flag (some network mounts) get a look before a plain rename.
        """
        try:
            _call("renameat2", old_folder, os.fsencode(old), new_folder, os.fsencode(new), _RENAME_NOREPLACE)
            return
        except OSError as error:
            if error.errno not in NO_SUCH_CALL:
                raise
        with suppress(FileNotFoundError):
            os.stat(new, dir_fd=new_folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        os.rename(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)


def _call(name: str, *args: object) -> None:
    """A function of the C library that Python does not have. Raises OSError."""
    if getattr(_libc(), name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def punch(fd: int, start: int, size: int) -> None:
    """Give the blocks in the middle of a file back; zeros are read there. Raises OSError."""
    _call("fallocate", fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(size))


def start_writing(fd: int, start: int, size: int) -> None:
    """Begin to write dirty pages to the disk, without waiting for it. Raises OSError."""
    _call("sync_file_range", fd, ctypes.c_int64(start), ctypes.c_int64(size), _START_WRITING)


@contextmanager
def translating(path: str, doing: str) -> Iterator[None]:
    """Turn OSError into NoSpace, NoInodes or DiskUnavailable. The message reads: would not `doing` `path`."""
    try:
        yield
    except OSError as error:
        raise reason(error, path, doing) from error


def reason(error: OSError, path: str, doing: str) -> NoSpace | DiskUnavailable:
    """What an error of the operating system means for us."""
    if error.errno in FULL:
        return _full(path)
    return DiskUnavailable(path=path, doing=doing, why=error.strerror or type(error).__name__)


def _full(path: str) -> NoSpace:
    root, free = os.path.dirname(path), 0
    with suppress(OSError):
        state = os.statvfs(root)
        if state.f_files and not state.f_favail:
            return NoInodes(root=root, free=0, name=os.path.basename(path), need=1)
        free = state.f_bavail * state.f_frsize
    return NoSpace(root=root, free=free, name=os.path.basename(path), need="more", floor=0)


def fingerprint(state: os.stat_result) -> Fingerprint:
    return Fingerprint(device=state.st_dev, inode=state.st_ino, size=state.st_size, mtime_ns=state.st_mtime_ns)


@contextmanager
def opened(path: str, flags: int, mode: int = 0o600, *, folder: int | None = None) -> Iterator[int]:
    """A file descriptor for the length of a block. Raises OSError."""
    fd = os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def write_all(disk: Disk, fd: int, data: bytes | memoryview) -> int:
    """Write every byte at the file's position and move it on, however few the kernel takes at a time; how many there were.

    Raises OSError.
    """
    rest, start = memoryview(data), os.lseek(fd, 0, os.SEEK_CUR)
    while rest:
        taken = disk.write(fd, [rest], start + len(data) - len(rest))
        if taken <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[taken:]
    os.lseek(fd, start + len(data), os.SEEK_SET)
    return len(data)


def write_new(disk: Disk, folder: int, name: str, data: bytes, mode: int) -> None:
    """A small file under a name that nobody has, not synced: the death of the process may leave a part of it, a power cut
    nothing. Raises FileExistsError and every other OSError, after which it is not there."""
    with opened(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, folder=folder) as fd:
        try:
            os.fchmod(fd, mode)
            done = 0
            while done < len(data):
                taken = disk.write(fd, [memoryview(data)[done:]], done)
                if taken <= 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                done += taken
        except OSError:
            os.unlink(name, dir_fd=folder)
            raise


def write_whole(disk: Disk, folder: int, name: str, data: bytes, mode: int, *, lasting: bool = True) -> None:
    """A small file that is there whole, synced, or not at all. `folder` is a directory descriptor. Raises OSError.

    One that is not `lasting` survives the death of the process, but a power cut may leave the old one or an empty one.
    """
    draft = f"{name}.{secrets.token_hex(4)}.tmp"
    try:
        with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, folder=folder) as fd:
            os.fchmod(fd, mode)
            write_all(disk, fd, data)
            if lasting:
                disk.sync(fd)
        disk.replace(draft, name, folder)
        if lasting:
            disk.sync(folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise
