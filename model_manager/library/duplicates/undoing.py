"""What replacing copies has changed, written down before it is done, and how it is taken back."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from model_manager.errors import AlreadyRunning, BadRecord, NotReplaced, Stopped, Unavailable
from model_manager.facts.duplicate import How
from model_manager.facts.wire import dumps, loads
from model_manager.library.contents.hashing import never
from model_manager.library.disk import Disk, opened, reason, translating, write_all
from model_manager.library.duplicates.matching import PIECE, same_bytes

_FICLONE: Final = 0x40049409  # linux/fs.h
_MAX_LINE: Final = 1 << 20
_MAX_XATTRS: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a hard link takes away from a copy: owner, mode, times in ns, extended attributes (base64)."""

    inode: int
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    xattrs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change. `inode`, `size` and `mtime_ns` are those of `by`, the file that stands in; `draft` is the name, in the same
    directory, under which the new link is made and the old file lies last."""

    how: How
    file: str
    by: str
    draft: str
    inode: int
    size: int
    mtime_ns: int
    was: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """The file is one of its own again. `note` says what could not be given back, if anything."""

    file: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Nothing was to be done, or nothing could be; `again`: it can be, when what `why` tells is mended."""

    file: str
    why: str
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It is still as it was: undo again when what the error tells is mended."""

    file: str
    error: NotReplaced | Unavailable


class UndoLog:
    """JSON lines in a file of our own. What `add` has written down is on the disk when it returns.

    One writer, or one undoing, at a time: raises AlreadyRunning. Raises DiskUnavailable and NoSpace.
    """

    def __init__(self, file: str, disk: Disk | None = None) -> None:
        self.file = file
        self._disk = disk or Disk()
        with translating(file, "open"):
            self._fd = _locked(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with opened(os.path.dirname(os.path.abspath(file)), os.O_RDONLY | os.O_DIRECTORY) as folder:
                self._disk.sync(folder)

    def add(self, entry: Entry) -> None:
        """The line break before it keeps it apart from one that a crash tore."""
        with translating(self.file, "write"):
            write_all(self._disk, self._fd, b"\n" + dumps(asdict(entry)) + b"\n")
            self._disk.sync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> UndoLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _locked(file: str, flags: int) -> int:
    fd = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning(what=f"The undo log {file} is in use by another process.", fix="undo log") from None
    return fd


def undo(
    log: str, *, cancelled: Callable[[], bool] = never, disk: Disk | None = None
) -> Iterator[Undone | Left | Failed]:
    """Take back what a log tells, the last change first; one answer for each. It can be stopped anywhere and repeated.

    A file that somebody changed meanwhile is left alone, and one failure does not keep the others from being undone. Each
    separated file needs its size in free space. Raises AlreadyRunning, Stopped, and DiskUnavailable when the log itself
    cannot be read.
    """
    disk = disk or Disk()
    with _entries(log) as entries:
        for number, entry in reversed(entries):
            if entry is None:
                why = f"line {number} of {log} cannot be read: a crash tore it before the change was made"
                yield Left(file="", why=why)
            elif entry.how == "reflink":
                yield Left(file=entry.file, why="it only shares blocks: it always was a file of its own")
            else:
                yield _answer(entry, cancelled, disk)


def tidy(log: str) -> tuple[str, ...]:
    """Remove what a crash left beside files of this log: links without a use, and old files whose link has the name. Undoing
    does it too; this keeps the changes. Returns the paths. Raises AlreadyRunning and DiskUnavailable."""
    removed: list[str] = []
    with _entries(log) as entries:
        for entry in (entry for _, entry in entries if entry and entry.draft):
            directory, name = os.path.split(entry.file)
            with suppress(FileNotFoundError), _reaching(entry, directory) as folder:
                here, rest = _look(folder, name), _look(folder, entry.draft)
                if _is_link(entry, rest) or (_is_link(entry, here) and _is_old(entry, rest)):
                    os.unlink(entry.draft, dir_fd=folder)
                    removed.append(os.path.join(directory, entry.draft))
    return tuple(removed)


@contextmanager
def _entries(log: str) -> Iterator[list[tuple[int, Entry | None]]]:
    """The lines of a log with their numbers, None for one that cannot be read; locked for the length of the block."""
    with translating(log, "read"):
        fd = _locked(log, os.O_RDONLY)
    try:
        with translating(log, "read"), os.fdopen(os.dup(fd), "rb") as file:
            lines = enumerate(iter(lambda: file.readline(_MAX_LINE), b""), 1)
            entries = [(number, _parse(line)) for number, line in lines if line.strip()]
        yield entries
    finally:
        os.close(fd)


@contextmanager
def _reaching(entry: Entry, directory: str) -> Iterator[int]:
    """Raises FileNotFoundError for a directory that is away, DiskUnavailable and NoSpace for every other failure."""
    fd = _opened(entry, directory)
    try:
        with translating(entry.file, "separate"):
            yield fd
    finally:
        os.close(fd)


def _opened(entry: Entry, directory: str) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise reason(error, entry.file, "reach") from error


def _parse(line: bytes) -> Entry | None:
    with suppress(BadRecord, KeyError, TypeError, ValueError, AttributeError):
        body: dict[str, Any] = loads(line, "undo log")
        was = body["was"]
        if body["how"] not in ("reflink", "hard link") or "/" in str(body["draft"]):
            return None
        numbers = {name: int(was[name]) for name in ("inode", "mode", "uid", "gid", "atime_ns", "mtime_ns")}
        xattrs = {str(name): str(value) for name, value in was["xattrs"].items()}
        return Entry(
            how=body["how"],
            file=str(body["file"]),
            by=str(body["by"]),
            draft=str(body["draft"]),
            inode=int(body["inode"]),
            size=int(body["size"]),
            mtime_ns=int(body["mtime_ns"]),
            was=Before(xattrs=xattrs, **numbers),
        )
    return None


def _answer(entry: Entry, cancelled: Callable[[], bool], disk: Disk) -> Undone | Left | Failed:
    try:
        return _undone(entry, cancelled, disk)
    except FileNotFoundError:
        return Left(file=entry.file, why="its directory is not there: mount or restore it, and undo again", again=True)
    except Stopped:
        raise
    except (NotReplaced, Unavailable) as error:
        return Failed(file=entry.file, error=error)


def _undone(entry: Entry, cancelled: Callable[[], bool], disk: Disk) -> Undone | Left:
    directory, name = os.path.split(entry.file)
    with _reaching(entry, directory) as folder:
        here, rest = _look(folder, name), _look(folder, entry.draft)
        linked = _is_link(entry, here)
        if linked and _is_old(entry, rest):
            disk.replace(entry.draft, name, folder)
            disk.sync(folder)
            return Undone(file=entry.file)
        if _is_link(entry, rest):
            os.unlink(entry.draft, dir_fd=folder)
        if not linked:
            return Left(file=entry.file, why="it is not the link that was made: it was undone, replaced or removed")
        return _separated(entry, folder, name, cancelled, disk)


def _look(folder: int, name: str) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return state if stat.S_ISREG(state.st_mode) else None
    return None


def _is_link(entry: Entry, state: os.stat_result | None) -> bool:
    """Whether it is the file that stands in. Numbers of removed files are given to new ones: without that file under its own
    name, size and time must agree as well."""
    if state is None or state.st_ino != entry.inode:
        return False
    with suppress(OSError):
        if os.path.samestat(os.stat(entry.by), state):
            return True
    return (state.st_size, state.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _is_old(entry: Entry, state: os.stat_result | None) -> bool:
    """Whether it is the file that was replaced."""
    known = (entry.was.inode, entry.size, entry.was.mtime_ns)
    return state is not None and (state.st_ino, state.st_size, state.st_mtime_ns) == known


def _separated(entry: Entry, folder: int, name: str, cancelled: Callable[[], bool], disk: Disk) -> Undone:
    draft = f"{entry.draft}.undo"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with (
            opened(name, os.O_RDONLY | os.O_NOFOLLOW, folder=folder) as linked,
            opened(draft, flags, folder=folder) as own,
        ):
            calm = os.fstat(linked)
            _copy(linked, own, entry.file, cancelled, disk)
            note = _give_back(own, entry, calm)
            disk.sync(own)
            _insist_still(os.fstat(linked), _look(folder, name), calm, entry.file)
        disk.replace(draft, name, folder)
        disk.sync(folder)
        return Undone(file=entry.file, note=note)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise


def _insist_still(linked: os.stat_result, named: os.stat_result | None, calm: os.stat_result, file: str) -> None:
    same = (linked.st_size, linked.st_mtime_ns) == (calm.st_size, calm.st_mtime_ns)
    if not same or named is None or named.st_ino != calm.st_ino:
        raise NotReplaced(path=file, why="it changed while it was copied", fix="Undo again when it is calm.")


def _copy(source: int, target: int, file: str, cancelled: Callable[[], bool], disk: Disk) -> None:
    """Shared blocks where the file system has them, else a copy that is read back."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EIO):
            raise
    done = 0
    while piece := os.pread(source, PIECE, done):
        if cancelled():
            raise Stopped(what=f"Separating {file}")
        write_all(disk, target, piece)
        done += len(piece)
    if not same_bytes(source, target, done, cancelled=cancelled, what=file):
        raise NotReplaced(path=file, why="the copy reads back otherwise", fix="Check the disk.")


def _give_back(own: int, entry: Entry, linked: os.stat_result) -> str:
    """Owner, attributes, mode and times as they were; what could not be given back. A file whose bytes changed since keeps
    the time of that change."""
    refused: list[str] = []
    with _noting(refused, "owner"):
        os.fchown(own, entry.was.uid, entry.was.gid)
    for name, value in entry.was.xattrs.items():
        with _noting(refused, name):
            os.setxattr(own, name, b64decode(value))
    os.fchmod(own, entry.was.mode & 0o7777)
    unchanged = (linked.st_size, linked.st_mtime_ns) == (entry.size, entry.mtime_ns)
    times = (entry.was.atime_ns, entry.was.mtime_ns) if unchanged else (linked.st_atime_ns, linked.st_mtime_ns)
    os.utime(own, ns=times)
    changed = [] if unchanged else ["its bytes were changed since, under both names"]
    return "; ".join([*changed, *(f"its {name} could not be given back" for name in refused)])


@contextmanager
def _noting(refused: list[str], name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        refused.append(name)


def before(fd: int) -> Before:
    """What a file has besides its bytes. Raises OSError."""
    state = os.fstat(fd)
    return Before(
        inode=state.st_ino,
        mode=stat.S_IMODE(state.st_mode),
        uid=state.st_uid,
        gid=state.st_gid,
        atime_ns=state.st_atime_ns,
        mtime_ns=state.st_mtime_ns,
        xattrs=_xattrs(fd),
    )


def _xattrs(fd: int) -> dict[str, str]:
    found: dict[str, str] = {}
    with suppress(OSError):
        for name in os.listxattr(fd):
            with suppress(OSError):
                value = os.getxattr(fd, name)
                if len(value) <= _MAX_XATTRS:
                    found[name] = b64encode(value).decode()
    return found
