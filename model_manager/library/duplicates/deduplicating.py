"""One copy gives way to another: the bytes are compared first, the change is written down, and nothing else is touched.

A crash leaves the old file or the new link under the name, and a log by which either is undone. Besides, a hidden file of
ours may be left beside it; undoing removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from model_manager.errors import NotReplaced, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint
from model_manager.facts.duplicate import Copy, How, Replacement
from model_manager.library.contents.hashing import never
from model_manager.library.disk import NO_SUCH_CALL, Disk, fingerprint, translating
from model_manager.library.duplicates.blocks import CHUNK, share
from model_manager.library.duplicates.matching import same_bytes
from model_manager.library.duplicates.undoing import Before, Entry, UndoLog, before

_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_SHARING: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ETXTBSY})
_BLOCK: Final = 512
"""Bytes of one of st_blocks (stat(2))."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """`freed` bytes came free; 0 while the old file has names elsewhere. `fingerprint` is what is under the name now."""

    file: str
    how: How
    freed: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both files, open, and the directory that the copy's name is in."""

    copy: int
    by: int
    folder: int
    name: str


def replace(
    step: Replacement,
    log: UndoLog,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = never,
    disk: Disk | None = None,
) -> Replaced:
    """Let `step.by` stand in for `step.copy`. `progress` is told the bytes compared so far.

    Both must be as they were when they were indexed. Raises StillChanging when they are not, or while somebody writes them;
    NotReplaced when the bytes differ, the name is a link, the two are one file already, others could not read the file any
    more, or the file system cannot; Stopped, DiskUnavailable and NoSpace. After all of these the copy is what it was, save
    for a sync that failed where names cannot be exchanged: the log can undo that.
    """
    disk = disk or Disk()
    with _opened(step) as pair, translating(step.copy.file, "replace"):
        if step.how == "reflink":
            return _shared(step, pair, log, progress, cancelled)
        return _linked(step, pair, log, progress, cancelled, disk)


@contextmanager
def _opened(step: Replacement) -> Iterator[_Pair]:
    directory, name = os.path.split(step.copy.file)
    with translating(step.copy.file, "open"):
        folder = _open(step.copy, directory, os.O_DIRECTORY)
    try:
        with (
            _calm(step.copy, name, os.O_NOFOLLOW, folder, one_with=step.by) as copy,
            _calm(step.by, step.by.file, 0, None) as by,
        ):
            yield _Pair(copy, by, folder, name)
    finally:
        os.close(folder)


@contextmanager
def _calm(wanted: Copy, path: str, flags: int, folder: int | None, one_with: Copy | None = None) -> Iterator[int]:
    """The very file that was indexed, open for reading."""
    with translating(wanted.file, "open"):
        fd = _open(wanted, path, flags | os.O_NONBLOCK, folder)
    try:
        if one_with is not None and _identity(fd) == one_with.identity:
            raise _left(wanted, f"it is one file with {one_with.file} already", "Nothing is to be done.")
        _insist(fd, wanted)
        yield fd
    finally:
        os.close(fd)


def _open(wanted: Copy, path: str, flags: int, folder: int | None = None) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
    except FileNotFoundError:
        raise StillChanging(path=wanted.file, why="was removed") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        fix = "Replace the file that it leads to, under that file's own name."
        raise _left(wanted, "it is a symbolic link, which takes no space", fix) from None


def _identity(fd: int) -> tuple[int, int]:
    state = os.fstat(fd)
    return state.st_dev, state.st_ino


def _insist(fd: int, wanted: Copy) -> None:
    state = os.fstat(fd)
    if not stat.S_ISREG(state.st_mode) or fingerprint(state) != wanted.fingerprint:
        raise StillChanging(path=wanted.file, why="changed")


def _left(copy: Copy, why: str, fix: str) -> NotReplaced:
    return NotReplaced(path=copy.file, why=why, fix=fix)


def _differ(step: Replacement) -> NotReplaced:
    why = f"its bytes differ from those of {step.by.file}, although both had the same digest when they were read"
    return _left(step.copy, why, "One of them has gone bad: run 'model-manager verify'.")


def _shared(
    step: Replacement, pair: _Pair, log: UndoLog, progress: Progress | None, cancelled: Callable[[], bool]
) -> Replaced:
    """The kernel compares and shares, chunk by chunk: whatever was shared before a difference had the same bytes."""
    log.add(_entry(step, "", before(pair.copy)))
    done, size = 0, step.copy.fingerprint.size
    while done < size:
        if cancelled():
            raise Stopped(what=f"Sharing the blocks of {step.copy.file}")
        try:
            shared = share(pair.by, pair.copy, done, min(CHUNK, size - done))
        except OSError as error:
            if error.errno not in _NO_SHARING:
                raise
            raise _left(step.copy, f"its blocks cannot be shared here ({error.strerror})", "Use hard links.") from None
        if shared is None:
            _insist(pair.copy, step.copy)
            _insist(pair.by, step.by)
            raise _differ(step)
        done += shared
        if progress is not None:
            progress(done)
    return Replaced(file=step.copy.file, how="reflink", freed=size, fingerprint=fingerprint(os.fstat(pair.copy)))


def _linked(
    step: Replacement,
    pair: _Pair,
    log: UndoLog,
    progress: Progress | None,
    cancelled: Callable[[], bool],
    disk: Disk,
) -> Replaced:
    _insist_readable(step, os.fstat(pair.copy), os.fstat(pair.by))
    size = step.copy.fingerprint.size
    if not same_bytes(pair.copy, pair.by, size, progress=progress, cancelled=cancelled, what=step.copy.file):
        _insist(pair.copy, step.copy)
        _insist(pair.by, step.by)
        raise _differ(step)
    with _unwritten(pair.copy, step.copy), _unwritten(pair.by, step.by):
        _insist(pair.copy, step.copy)
        _insist(pair.by, step.by)
        draft = f".{pair.name.encode()[:180].decode(errors='ignore')}.{secrets.token_hex(4)}.duplicate"
        log.add(_entry(step, draft, before(pair.copy)))
        _swap(step, pair, draft, disk)
    now = os.fstat(pair.copy)
    freed = 0 if now.st_nlink else now.st_blocks * _BLOCK
    return Replaced(file=step.copy.file, how="hard link", freed=freed, fingerprint=fingerprint(os.fstat(pair.by)))


def _insist_readable(step: Replacement, copy: os.stat_result, by: os.stat_result) -> None:
    """One file has one owner and one mode: nobody may lose the right to read it."""
    reading = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
    same_owner = (copy.st_uid, copy.st_gid) == (by.st_uid, by.st_gid)
    kept = not copy.st_mode & reading & ~by.st_mode
    if not by.st_mode & stat.S_IROTH and not (same_owner and kept):
        raise _left(step.copy, f"who reads it may not read {step.by.file}", "Give both the same owner and mode.")


def _entry(step: Replacement, draft: str, was: Before) -> Entry:
    by = step.by.fingerprint
    return Entry(
        how=step.how,
        file=step.copy.file,
        by=step.by.file,
        draft=draft,
        inode=by.inode,
        size=by.size,
        mtime_ns=by.mtime_ns,
        was=was,
    )


@contextmanager
def _unwritten(fd: int, copy: Copy) -> Iterator[None]:
    """Nobody has the file open for writing, and whoever wants to must wait for the end of the block (a read lease, fcntl(2)).

    Where the system gives none (files of others, network mounts), only the fingerprints tell.
    """
    held = False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        held = True
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise StillChanging(path=copy.file, why="is open for writing") from None
    try:
        yield
    finally:
        if held:
            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _swap(step: Replacement, pair: _Pair, draft: str, disk: Disk) -> None:
    """The link takes the name. What had it lies under the draft's name for a moment, and if it is not the file that was
    compared, it gets its name back."""
    try:
        os.link(f"/proc/self/fd/{pair.by}", draft, dst_dir_fd=pair.folder, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        raise _left(
            step.copy, f"no hard link can be made ({error.strerror})", "Nothing else can stand in here."
        ) from None
    try:
        if _exchanged(pair, draft, disk):
            _confirm(step, pair, draft, disk)
        elif _is(pair.folder, pair.name, step.copy):
            disk.replace(draft, pair.name, pair.folder)
            disk.sync(pair.folder)
        else:
            raise StillChanging(path=step.copy.file, why="was exchanged")
    finally:
        _tidy(step, pair, draft)


def _confirm(step: Replacement, pair: _Pair, draft: str, disk: Disk) -> None:
    """The new name is made durable before the old file goes."""
    try:
        if not _is(pair.folder, draft, step.copy):
            raise StillChanging(path=step.copy.file, why="was exchanged")
        disk.sync(pair.folder)
    except (OSError, StillChanging):
        disk.exchange(draft, pair.name, pair.folder)
        raise


def _tidy(step: Replacement, pair: _Pair, draft: str) -> None:
    """What lies under the draft's name goes if it is our link, or the file that the link has replaced; never anything else."""
    by = step.by.fingerprint.inode
    with suppress(FileNotFoundError):
        there = os.stat(draft, dir_fd=pair.folder, follow_symlinks=False).st_ino
        replaced = os.stat(pair.name, dir_fd=pair.folder, follow_symlinks=False).st_ino == by
        if there == by or (replaced and _is(pair.folder, draft, step.copy)):
            os.unlink(draft, dir_fd=pair.folder)


def _exchanged(pair: _Pair, draft: str, disk: Disk) -> bool:
    try:
        disk.exchange(draft, pair.name, pair.folder)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:
            raise
        return False
    return True


def _is(folder: int, name: str, copy: Copy) -> bool:
    with suppress(FileNotFoundError):
        return fingerprint(os.stat(name, dir_fd=folder, follow_symlinks=False)) == copy.fingerprint
    return False
