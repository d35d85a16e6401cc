"""Full digests of bytes and files, in one pass."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from model_manager.errors import BadContent, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Algorithm, Digests
from model_manager.library.disk import fingerprint, opened, translating

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK: Final = 1024 * 1024
"""Bytes hashed at a time: larger buffers leave the processor's cache and are slower."""

_MAX_HEADER: Final = 100_000_000
"""Bytes of a safetensors header; its reference parser refuses more."""


class Hasher:
    """SHA-256 and BLAKE3 always, MD5 and AutoV3 when asked for. AutoV2 needs nothing of its own."""

    def __init__(self, algorithms: frozenset[Algorithm] = frozenset()) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()
        self._md5 = hashlib.md5(usedforsecurity=False) if "md5" in algorithms else None
        self._autov3 = _AutoV3() if "autov3" in algorithms else None

    def update(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        self._blake3.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        if self._autov3 is not None:
            self._autov3.update(data)

    def digests(self) -> Digests:
        return Digests(
            sha256=self._sha256.hexdigest(),
            blake3=self._blake3.hexdigest(),
            md5=self._md5.hexdigest() if self._md5 else None,
            autov3=self._autov3.digest() if self._autov3 else None,
        )


class _AutoV3:
    """SHA-256 of what follows the safetensors header (kohya-ss sd-scripts, addnet_hash_safetensors)."""

    def __init__(self) -> None:
        self._length = b""
        self._skip: int | None = None
        self._hash: _Hash = hashlib.sha256()
        self._any = False

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        if self._skip is None:
            missing = 8 - len(self._length)
            self._length += bytes(view[:missing])
            view = view[missing:]
            if len(self._length) < 8:
                return
            self._skip = int.from_bytes(self._length, "little")
        past = min(self._skip, len(view))
        self._skip -= past
        if past < len(view):
            self._any = True
            self._hash.update(view[past:])

    def digest(self) -> str | None:
        """12 hex digits, or None for bytes that cannot be safetensors: a digest of nothing would fit every broken file."""
        plausible = len(self._length) == 8 and int.from_bytes(self._length, "little") <= _MAX_HEADER
        return self._hash.hexdigest()[:12] if plausible and self._any else None


def never() -> bool:
    """The `cancelled` of callers that are never cancelled."""
    return False


def digest_file(
    file: str,
    algorithms: frozenset[Algorithm] = frozenset(),
    *,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] = never,
) -> tuple[Fingerprint, Digests]:
    """Read a file whole, in constant memory. `progress` is told the bytes read so far after each MiB.

    The digests are those of one calm file: its fingerprint is the same before and after. Raises StillChanging when it is
    not (or when the file left), BadContent for what is no regular file (it is not read: a FIFO cannot hang us), Stopped
    when `cancelled` answers True, and DiskUnavailable.
    """
    with translating(file, "read"):
        try:
            with opened(file, os.O_RDONLY | os.O_NONBLOCK) as fd:
                before = _calm(fd, file)
                digests = _read(fd, file, Hasher(algorithms), progress, cancelled)
                after = fingerprint(os.stat(file))
        except FileNotFoundError:
            raise StillChanging(path=file, why="was removed") from None
    if before != after:
        raise StillChanging(path=file, why="changed")
    return before, digests


def _calm(fd: int, file: str) -> Fingerprint:
    state = os.fstat(fd)
    if not stat.S_ISREG(state.st_mode):
        raise BadContent(name=file, why="it is not a regular file")
    return fingerprint(state)


def _read(
    fd: int, file: str, hasher: Hasher, progress: Callable[[int], None] | None, cancelled: Callable[[], bool]
) -> Digests:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buffer, done = memoryview(bytearray(CHUNK)), 0
    while got := os.readv(fd, [buffer]):
        if cancelled():
            raise Stopped(what=f"Reading {file}")
        hasher.update(buffer[:got])
        done += got
        if progress is not None:
            progress(done)
    return hasher.digests()
