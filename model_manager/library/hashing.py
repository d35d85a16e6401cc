"""Full digests of bytes and files, in one pass."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from blake3 import blake3

from model_manager.errors import BadContent, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Algorithm, Digests
from model_manager.library.disk import fingerprint, opened, translating
from model_manager.library.midstate import resumable

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK: Final = 1024 * 1024
"""Bytes hashed at a time: larger buffers leave the processor's cache and are slower."""

BOTH: Final[frozenset[Algorithm]] = frozenset({"sha256", "blake3"})
"""The full digests."""

_MAX_HEADER: Final = 100_000_000
"""Bytes of a safetensors header; its reference parser refuses more."""


class _Part(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class Hasher:
    """Exactly the digests that are asked for; AutoV2 is the beginning of SHA-256, and without a full digest that is added."""

    def __init__(
        self, algorithms: frozenset[Algorithm] = BOTH, *, savable: bool = False, state: bytes | None = None
    ) -> None:
        """`savable`: make `save` possible where it is (SHA-256 alone). `state`: what `save` gave for the bytes before."""
        wants_sha256 = bool(algorithms & {"sha256", "autov2"}) or "blake3" not in algorithms
        alone = wants_sha256 and algorithms <= {"sha256", "autov2"}
        self._saving = resumable(state) if alone and savable else None
        self._parts: dict[Algorithm, _Part] = {}
        if wants_sha256:
            self._parts["sha256"] = self._saving or hashlib.sha256()
        if "blake3" in algorithms:
            self._parts["blake3"] = blake3()
        if "md5" in algorithms:
            self._parts["md5"] = hashlib.md5(usedforsecurity=False)
        self._crc32 = 0 if "crc32" in algorithms else None
        self._tensor = _Tensor() if algorithms & {"autov3", "tensor"} else None

    def update(self, data: bytes | memoryview) -> None:
        for part in self._parts.values():
            part.update(data)
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(data, self._crc32)
        if self._tensor is not None:
            self._tensor.update(data)

    def save(self) -> bytes | None:
        """The state after everything so far, None where it cannot be saved."""
        return self._saving.save() if self._saving else None

    def digests(self) -> Digests:
        """Of everything so far; more may follow."""
        found = {name: part.hexdigest() for name, part in self._parts.items()}
        return Digests(
            sha256=found.get("sha256"),
            blake3=found.get("blake3"),
            md5=found.get("md5"),
            crc32=f"{self._crc32:08x}" if self._crc32 is not None else None,
            tensor=self._tensor.digest() if self._tensor else None,
        )


class _Tensor:
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
        """64 hex digits, or None for bytes that cannot be safetensors: a digest of nothing would fit every broken file."""
        plausible = len(self._length) == 8 and int.from_bytes(self._length, "little") <= _MAX_HEADER
        return self._hash.hexdigest() if plausible and self._any else None


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
    """SHA-256, BLAKE3 and `algorithms` of a whole file, in constant memory. `progress` is told the bytes read so far after
    each MiB.

    The digests are those of one calm file: its fingerprint is the same before and after. Raises StillChanging when it is
    not (or when the file left), BadContent for what is no regular file (it is not read: a FIFO cannot hang us), Stopped
    when `cancelled` answers True, and DiskUnavailable.
    """
    with translating(file, "read"):
        try:
            with opened(file, os.O_RDONLY | os.O_NONBLOCK) as fd:
                before = _calm(fd, file)
                digests = _read(fd, file, Hasher(BOTH | algorithms), progress, cancelled)
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
