"""Which part of a tree lies on a file system whose changes by other machines the kernel does not tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from model_manager.errors import printable

MOUNTS: Final = "/proc/self/mountinfo"

NETWORK: Final = (
    *(
        "nfs",
        "cifs",
        "smb",
        "fuse",
        "9p",
        "virtiofs",
        "ceph",
        "lustre",
        "glusterfs",
        "afs",
        "beegfs",
        "gpfs",
        "orangefs",
    ),
    *("vboxsf", "prl_fs"),
)
"""Beginnings of file system types whose changes by other machines inotify does not see."""

LOCAL: Final = "fuseblk"
"""A disk of this machine that a program reads (ntfs-3g, exfat-fuse); nobody else writes to it."""

MAX_DIRECTORIES: Final = 20_000
"""Directories in which links to other places are looked for."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")

Mounts = Sequence[tuple[str, str]]
"""(mount point with a slash at its end, type) in the order of mounting."""


def remote_part(roots: Sequence[str], mounts: str = MOUNTS) -> str:
    """Why these trees cannot be watched: the first place in them that is on a network file system, be it a root, a mount
    below one, or a directory that is linked into one. Empty when there is none. Blocks while it lists directories."""
    known = _mounts(mounts)
    for root in roots:
        for place in (root, *_mounted_below(root, known), *_linked(root)):
            kind = _kind(place, known)
            if kind.startswith(NETWORK) and kind != LOCAL:
                return f"{printable(place)} is on a network file system ({kind})"
    return ""


def _kind(path: str, mounts: Mounts) -> str:
    real, best, found = os.path.realpath(path) + "/", "", ""
    for point, kind in mounts:
        if real.startswith(point) and len(point) >= len(best):
            best, found = point, kind
    return found


def _mounts(file: str) -> Mounts:
    """The kernel's list (proc_pid_mountinfo(5)), empty where there is none."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            return tuple(_parsed(line) for line in lines if " - " in line)
    except OSError:
        return ()


def _parsed(line: str) -> tuple[str, str]:
    before, _, after = line.partition(" - ")
    point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
    return point.rstrip("/") + "/", after.split(" ")[0]


def _mounted_below(root: str, mounts: Mounts) -> Iterator[str]:
    above = os.path.realpath(root).rstrip("/") + "/"
    return (point.rstrip("/") for point, _ in mounts if point.startswith(above) and point != above)


def _linked(root: str) -> Iterator[str]:
    """Directories that are linked into a tree, as far as it can be listed."""
    stack, listed = [root], 0
    while stack and listed < MAX_DIRECTORIES:
        listed += 1
        try:
            with os.scandir(stack.pop()) as entries:
                places = [(entry.path, entry.is_symlink()) for entry in entries if entry.is_dir()]
        except OSError:
            continue
        stack += [path for path, link in places if not link]
        yield from (path for path, link in places if link)
