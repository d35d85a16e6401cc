"""What kind of file system a file is on, and what may be done there for speed."""

from __future__ import annotations

import os
from dataclasses import dataclass
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


_IN_PLACE: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "f2fs", "overlay"})
_COPY_ON_WRITE: Final = frozenset({"btrfs", "bcachefs"})
"""Every other kind (network mounts, zfs, what nobody has heard of) gets plain writes, and everything is read back."""


def volume_of(fd: int) -> Volume:
    """Of an open file, by /proc/self/fdinfo and /proc/self/mountinfo (proc(5)); plain where those say nothing."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            mount = next((line.split()[1] for line in info if line.startswith("mnt_id:")), "")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return facts_of(kind_of(mount, mounts.read()))
    except OSError:
        return facts_of("")


def kind_of(mount: str, mountinfo: str) -> str:
    """The file system type of a mount by its id; empty when it is not listed."""
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        if dash and before.split()[:1] == [mount]:
            return after.split()[0]
    return ""


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
