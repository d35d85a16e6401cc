"""Which device a path lies on, and what kind it is, as the kernel tells it in /proc and /sys."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import Final

from model_manager.facts.device import Device
from model_manager.library.disk import opened, translating

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "afs", "orangefs"}
)  # fmt: skip
_NETWORK_FUSE: Final = frozenset(
    {
        "sshfs", "glusterfs", "ceph", "rclone", "s3fs", "goofys", "mount-s3", "gcsfuse", "blobfuse", "blobfuse2", "juicefs",
        "seaweedfs", "moosefs", "mfs", "lizardfs", "davfs", "curlftpfs", "quobyte", "weed", "geesefs",
    }
)  # fmt: skip
"""What follows `fuse.` in the type of a mount; every other FUSE file system may lie on anything."""

_MEMORY: Final = frozenset({"tmpfs", "ramfs", "hugetlbfs"})

_PRETENDING: Final = re.compile(r"QEMU|VMware|Virtual|Msft|Google|Xen|VBOX", re.IGNORECASE)
_PARAVIRTUAL: Final = re.compile(r"(vd|xvd)[a-z]+")
"""Disks of virtual machines say that they rotate when nobody told them otherwise: their word counts for nothing."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    """A line of mountinfo (proc(5))."""

    number: str
    kind: str
    source: str


def device_of(path: str, *, proc: str = "/proc/self", sys: str = "/sys") -> Device:
    """The device below a file or directory; of the kind "unknown" where the kernel does not say.

    Raises DiskUnavailable when the path cannot be reached. Blocks as long as a network mount does that does not answer.
    """
    with translating(path, "look at"), opened(path, os.O_PATH) as fd:
        number = os.fstat(fd).st_dev
        mount = _mount_of(fd, proc)
    own = f"{os.major(number)}:{os.minor(number)}"
    if mount is None:
        return _block(own, own, sys)
    if mount.kind in _NETWORK or (mount.kind.startswith("fuse.") and mount.kind[5:] in _NETWORK_FUSE):
        return Device(name=mount.source or own, kind="network")
    if mount.kind in _MEMORY:
        return Device(name="memory", kind="memory")
    if mount.kind == "overlay":
        return Device(name=own, kind="overlay")
    return _block(_number(mount), own, sys)


def _mount_of(fd: int, proc: str) -> _Mount | None:
    try:
        with open(f"{proc}/fdinfo/{fd}", encoding="ascii") as info:
            wanted = next((line.split()[1] for line in info if line.startswith("mnt_id:")), "")
        with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            return next((_parsed(line) for line in mounts if line.split(" ", 1)[0] == wanted), None)
    except OSError:
        return None


def _parsed(line: str) -> _Mount | None:
    before, dash, after = line.partition(" - ")
    fields, more = before.split(), after.split()
    if not dash or len(fields) < 3 or len(more) < 2:
        return None
    source = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), more[1])
    return _Mount(number=fields[2], kind=more[0], source=source)


def _number(mount: _Mount) -> str:
    """btrfs gives its files a number that no disk has; what was mounted is the disk."""
    if mount.number.startswith("0:") and mount.source.startswith("/"):
        try:
            state = os.stat(mount.source)
        except OSError:
            return mount.number
        if stat.S_ISBLK(state.st_mode):
            return f"{os.major(state.st_rdev)}:{os.minor(state.st_rdev)}"
    return mount.number


def _block(number: str, otherwise: str, sys: str) -> Device:
    """A disk by its number; partitions, volumes and arrays are the disks that they lie on."""
    disks = _disks(os.path.realpath(f"{sys}/dev/block/{number}"))
    if not disks:
        return Device(name=otherwise, kind="unknown")
    said = [_rotates(disk) for disk in disks]
    name = "+".join(os.path.basename(disk) for disk in disks)
    if True in said:
        return Device(name=name, kind="rotational")
    return Device(name=name, kind="unknown" if None in said else "ssd")


def _disks(place: str, depth: int = 8) -> list[str]:
    """Directories in /sys of the disks below a block device. Raises nothing: what cannot be read is no disk."""
    if not os.path.isdir(place):
        return []
    if os.path.exists(f"{place}/partition"):
        return _disks(os.path.dirname(place), depth)
    try:
        below = sorted(os.listdir(f"{place}/slaves"))
    except OSError:
        below = []
    if not below or not depth:
        return [place]
    found = {disk for name in below for disk in _disks(os.path.realpath(f"{place}/slaves/{name}"), depth - 1)}
    return sorted(found)


def _rotates(disk: str) -> bool | None:
    """Whether it turns; None where nobody knows."""
    flag = _text(f"{disk}/queue/rotational")
    if flag == "0":
        return False
    virtual = _PARAVIRTUAL.fullmatch(os.path.basename(disk)) is not None
    maker = f"{_text(f'{disk}/device/vendor')} {_text(f'{disk}/device/model')}"
    return True if flag == "1" and not virtual and not _PRETENDING.search(maker) else None


def _text(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as opened_file:
            return opened_file.read(200).strip()
    except OSError:
        return ""
