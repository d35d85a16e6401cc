"""What kind of file system a file is on, and what may be done there for speed."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """`direct`: writing past the page cache is worth trying. `preallocate`: blocks can be set aside without writing them.

    `drop`: pages that were written may be taken out of the cache. `holes`: what was never written shows as a hole, so that a
    write that got lost is found without reading everything back.
    """

    kind: str
    direct: bool = False
    preallocate: bool = False
    drop: bool = True
    holes: bool = False


_IN_PLACE: Final = frozenset({"ext4", "xfs", "f2fs", "overlay"})
_COPY_ON_WRITE: Final = frozenset({"btrfs", "bcachefs"})
"""Every other kind (network mounts, zfs, what nobody has heard of) gets plain writes, and everything is read back."""


_KINDS: Final = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0xF2F52010: "f2fs",
    0x794C7630: "overlay",
    0x9123683E: "btrfs",
    0xCA451A4E: "bcachefs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
}
"""Of f_type, as in linux/magic.h; ext2 and ext3 have ext4's."""


def volume_of(fd: int) -> Volume:
    """Of an open file, by fstatfs(2), one call where /proc would take many; plain where that says nothing."""
    state = ctypes.create_string_buffer(256)
    failed = _libc().fstatfs(fd, state)
    return facts_of("" if failed else kind_of(ctypes.c_long.from_buffer(state).value))


def kind_of(magic: int) -> str:
    """The file system type by the number in its superblock; empty when it is none of those that we know."""
    return _KINDS.get(magic & 0xFFFFFFFF, "")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def facts_of(kind: str) -> Volume:
    """Zeros may become holes on copy-on-write file systems, and zfs compresses: there a hole only means to look again."""
    if kind in _IN_PLACE:
        return Volume(kind=kind, direct=True, preallocate=True, holes=True)
    if kind in _COPY_ON_WRITE:
        return Volume(kind=kind, holes=True)
    if kind == "tmpfs":
        return Volume(kind=kind, drop=False, holes=True)
    return Volume(kind=kind, drop=kind != "ramfs")


def first_hole(fd: int, size: int) -> int:
    """Where the first bytes that nobody wrote begin; `size` when there are none. Raises OSError."""
    return min(size, os.lseek(fd, 0, os.SEEK_HOLE)) if size else 0
