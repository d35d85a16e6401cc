"""A finished file gets its name: one rename inside directories that were opened one by one, never through a link.

Whoever has the name first keeps it: a file that we did not judge is never replaced (Occupied). A file that we judged wrong
moves to `<root>/.model_manager_quarantine/` first; a crash in between leaves the finished file to be placed at the next
start. Nothing is ever copied onto a final path.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final

from model_manager.errors import BadPath, Corrupt, DiskUnavailable, Occupied, RootAway, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint, Root
from model_manager.facts.identity import Algorithm, Digests
from model_manager.facts.shelf import ShelfPath
from model_manager.library.contents.hashing import CHUNK, Hasher, never
from model_manager.library.disk import NO_SUCH_CALL, Disk, fingerprint, opened, start_writing, translating, write_all
from model_manager.library.incoming.staging import HIDDEN, READABLE, open_folder, own_root, part_name
from model_manager.library.markers import PARTIAL, QUARANTINE

_FOLDER_MODE: Final = 0o755
_FICLONE: Final = 0x40049409  # linux/fs.h
_NOT_HERE: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
)
"""Answers of file systems that cannot share bytes between two names."""


def place(
    source: str, root: Root, shelf: ShelfPath, replaces: Fingerprint | None = None, *, disk: Disk | None = None
) -> Fingerprint:
    """Give the finished, synced file `source` (in the root's own partial directory) its name on a shelf, durably.

    `replaces` is the fingerprint of the wrong file that may be there. Raises Occupied when another file is, BadPath when
    a link or a file stands where a directory should, RootAway when the root is not the one that `source` lies in, and
    DiskUnavailable or NoSpace: after those the file may or may not have its name; look again.
    """
    disk = disk or Disk()
    final = f"{root.path}/{shelf}"
    with (
        own_root(root) as top,
        translating(final, "place"),
        opened(os.path.dirname(source), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as staging,
    ):
        _insist_within(top, staging, root)
        with _folder_of(top, shelf, disk) as folder:
            name = _last(shelf)
            if replaces is not None and _taken(folder, name, final, replaces):
                _set_aside(disk, root, top, folder, shelf)
            return _promote(disk, staging, os.path.basename(source), folder, name, final)


def insist_free(root: Root, shelf: ShelfPath, replaces: Fingerprint | None = None) -> None:
    """Raise now what `place` would raise after the download: Occupied, BadPath, RootAway, DiskUnavailable, NoSpace."""
    final = f"{root.path}/{shelf}"
    with own_root(root) as top, translating(final, "place"), _folder_of(top, shelf, Disk()) as folder:
        _taken(folder, _last(shelf), final, replaces)


def link(
    source: str,
    calm: Fingerprint,
    digests: Digests,
    root: Root,
    shelf: ShelfPath,
    replaces: Fingerprint | None = None,
    *,
    cancelled: Callable[[], bool] = never,
    disk: Disk | None = None,
) -> Fingerprint:
    """Put the bytes of a held file under a second name: shared blocks, else a hard link, else a copy that is read back.

    `calm` and `digests` are what is known of `source`. Reserve its size before: a copy needs it. Raises StillChanging
    when the source is not that file any more, Corrupt when a copy reads back otherwise, Stopped, and what `place` raises.
    """
    disk = disk or Disk()
    directory = os.path.join(root.path, PARTIAL)
    draft = os.path.join(directory, f"{part_name(shelf)}.link")
    with own_root(root) as top:
        folder = open_folder(directory, top=top)
    try:
        with translating(draft, "write"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.basename(draft), dir_fd=folder)
            _duplicate(source, calm, folder, draft, digests, cancelled, disk)
        return place(draft, root, shelf, replaces, disk=disk)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(os.path.basename(draft), dir_fd=folder)
        os.close(folder)


def _insist_within(top: int, staging: int, root: Root) -> None:
    """Without its volume, a root would take new directories on the disk below it."""
    above = os.stat("..", dir_fd=staging)
    if not os.path.samestat(above, os.fstat(top)):
        raise RootAway(root=root.path, why="the unfinished file is not in it: another volume was mounted or unmounted")


@contextmanager
def _folder_of(top: int, shelf: ShelfPath, disk: Disk) -> Iterator[int]:
    """The directory of a shelf path, each step made and opened below the one before."""
    current = top
    try:
        for part in str(shelf).split("/")[:-1]:
            below = _step(current, part, str(shelf), disk)
            if current != top:
                os.close(current)
            current = below
        yield current
    finally:
        if current != top:
            os.close(current)


def _step(folder: int, part: str, whole: str, disk: Disk) -> int:
    if part in ("", ".", ".."):
        raise BadPath(path=whole, why=f"'{part}' is not a name")
    made = False
    try:
        try:
            below = _opened_below(folder, part)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(part, _FOLDER_MODE, dir_fd=folder)
                made = True
            below = _opened_below(folder, part)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        why = f"'{part}' is a link or a file; make what it points to a models directory of its own"
        raise BadPath(path=whole, why=why) from None
    if made:
        inherited = os.fstat(below).st_mode & stat.S_ISGID
        os.fchmod(below, inherited | _FOLDER_MODE)
        disk.sync(folder)
    return below


def _opened_below(folder: int, part: str) -> int:
    return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _last(shelf: ShelfPath) -> str:
    return shelf.name.rpartition("/")[2]


def _taken(folder: int, name: str, final: str, replaces: Fingerprint | None) -> bool:
    """Whether the wrong file `replaces` has the name. Raises Occupied when anything else has."""
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if replaces is not None and replaces in (fingerprint(there), _behind(folder, name)):
        return True
    kind = "another file" if stat.S_ISREG(there.st_mode) else "something that is no regular file"
    raise Occupied(path=final, why=f"{kind} appeared there that nobody judged")


def _behind(folder: int, name: str) -> Fingerprint | None:
    """The fingerprint of what a link points to; moving the link itself touches nothing else."""
    try:
        return fingerprint(os.stat(name, dir_fd=folder))
    except OSError:
        return None


def _promote(disk: Disk, staging: int, draft: str, folder: int, name: str, final: str) -> Fingerprint:
    try:
        disk.rename(draft, name, old_folder=staging, new_folder=folder)
    except FileExistsError:
        _taken(folder, name, final, None)
        raise Occupied(path=final, why="another file appeared there in this moment") from None
    except OSError as error:
        if error.errno == errno.EXDEV:
            why = f"its folder is on another file system than {PARTIAL}; make it a models directory of its own"
            raise DiskUnavailable(path=final, doing="rename to", why=why) from error
        raise
    try:
        disk.sync(folder)
    except OSError:
        # Unnamed again, the finished file is placed at the next attempt instead of fetched anew.
        with suppress(OSError):
            disk.rename(name, draft, old_folder=folder, new_folder=staging)
        raise
    return fingerprint(os.stat(name, dir_fd=folder, follow_symlinks=False))


def _set_aside(disk: Disk, root: Root, top: int, folder: int, shelf: ShelfPath) -> str:
    """Move a file into the quarantine under the first free number."""
    directory = os.path.join(root.path, QUARANTINE)
    aside = open_folder(directory, top=top)
    flat = f"{shelf.folder}--{shelf.name.replace('/', '--')}".encode()[-200:].decode(errors="ignore")
    try:
        for number in range(1, 100_000):
            with suppress(FileExistsError):
                disk.rename(_last(shelf), f"{flat}.{number}", old_folder=folder, new_folder=aside)
                disk.sync(aside)
                disk.sync(folder)
                return os.path.join(directory, f"{flat}.{number}")
    finally:
        os.close(aside)
    raise DiskUnavailable(path=directory, doing="add to", why="100,000 files of one name are in it; empty it")


def _duplicate(
    source: str,
    calm: Fingerprint,
    folder: int,
    draft: str,
    digests: Digests,
    cancelled: Callable[[], bool],
    disk: Disk,
) -> None:
    if not os.path.exists(source):
        raise StillChanging(path=source, why="was removed")
    with opened(source, os.O_RDONLY | os.O_NONBLOCK) as original:
        _insist_calm(original, calm, source)
        if not _reflinked(original, folder, draft, disk) and not _hard_linked(source, calm, folder, draft):
            _copied(original, folder, draft, digests, cancelled, disk)
        _insist_calm(original, calm, source)


def _insist_calm(fd: int, calm: Fingerprint, source: str) -> None:
    if fingerprint(os.fstat(fd)) != calm:
        raise StillChanging(path=source, why="changed")


def _reflinked(original: int, folder: int, draft: str, disk: Disk) -> bool:
    name = os.path.basename(draft)
    with opened(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, HIDDEN, folder=folder) as copy:
        try:
            fcntl.ioctl(copy, _FICLONE, original)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
        else:
            os.fchmod(copy, READABLE)
            disk.sync(copy)
            return True
    os.unlink(name, dir_fd=folder)
    return False


def _hard_linked(source: str, calm: Fingerprint, folder: int, draft: str) -> bool:
    name = os.path.basename(draft)
    try:
        os.link(os.path.realpath(source), name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    if fingerprint(os.stat(name, dir_fd=folder, follow_symlinks=False)) != calm:
        raise StillChanging(path=source, why="was exchanged")
    return True


def _copied(
    original: int, folder: int, draft: str, digests: Digests, cancelled: Callable[[], bool], disk: Disk
) -> None:
    name = os.path.basename(draft)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fastest: Algorithm = "blake3" if digests.blake3 else "sha256"
    with opened(name, flags, HIDDEN, folder=folder) as copy, _ReadingBack(copy, fastest) as behind:
        buffer, done = memoryview(bytearray(CHUNK)), 0
        while got := os.preadv(original, [buffer], done):
            if cancelled():
                raise Stopped(what=f"Copying to {draft}")
            write_all(disk, copy, buffer[:got])
            behind.go_on(done, got)
            done += got
        os.fchmod(copy, READABLE)
        disk.sync(copy)
        read_back = behind.digests()
    if not digests.same_bytes(read_back):
        raise Corrupt(name=draft, host="the local disk", why="the copy reads back otherwise")


class _ReadingBack:
    """What was written is read and hashed on a thread of its own, one piece behind the writer: a copy takes as long as the
    slower of the two, not as both."""

    def __init__(self, fd: int, algorithm: Algorithm) -> None:
        self._fd = fd
        self._hasher = Hasher(frozenset({algorithm}))
        self._buffer = memoryview(bytearray(CHUNK))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reading-back")
        self._piece: Future[None] | None = None

    def go_on(self, start: int, size: int) -> None:
        """Read this piece, of at most CHUNK bytes. Raises what the piece before raised."""
        self._settle()
        self._piece = self._thread.submit(self._read, start, size)

    def digests(self) -> Digests:
        self._settle()
        return self._hasher.digests()

    def _settle(self) -> None:
        if self._piece is not None:
            self._piece.result()

    def _read(self, start: int, size: int) -> None:
        try:
            start_writing(self._fd, start, size)
        except OSError as error:
            if error.errno not in NO_SUCH_CALL:
                raise
        got = os.preadv(self._fd, [self._buffer[:size]], start)
        self._hasher.update(self._buffer[:got])

    def __enter__(self) -> _ReadingBack:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
