"""Which file system a file is on, by a name that it keeps when it is mounted again under another device number."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from model_manager.library.disk import opened
from model_manager.library.volume import volume_of

NFS: Final = "/proc/fs/nfsfs/volumes"
"""The kernel's list: NV SERVER PORT DEV FSID FSC (fs/nfs/client.c)."""

_GET_UUID: Final = 0x80111500
"""FS_IOC_GETFSUUID (linux/fs.h, since 6.9): _IOR(0x15, 0, struct fsuuid2), a length and 16 bytes."""

_BY_FSID: Final = frozenset({"ext4", "btrfs", "bcachefs"})
"""Kinds whose f_fsid is made of the UUID, and of the subvolume; those of others may be the device number again (statfs(2))."""


def identity(path: str, *, nfs: str = NFS) -> tuple[int, str]:
    """st_dev of what is at a path, and the name of its file system; "" where nothing says one that is sure to be its own: then
    another device number has to count as another file system. Raises OSError."""
    with opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
        device = os.fstat(fd).st_dev
        kind = volume_of(fd).kind
        if kind in _BY_FSID and (fsid := os.fstatvfs(fd).f_fsid):
            return device, f"{kind} {fsid:x}"
        uuid = "" if kind == "overlay" else _uuid(fd)
    return device, f"uuid {uuid}" if uuid else _nfs(device, nfs)


def _uuid(fd: int) -> str:
    answer = bytearray(17)
    try:
        fcntl.ioctl(fd, _GET_UUID, answer)
    except OSError:
        return ""
    (length,) = struct.unpack_from("B", answer)
    uuid = bytes(answer[1 : 1 + length])
    return uuid.hex() if any(uuid) else ""


def _nfs(device: int, file: str) -> str:
    """The server and the number by which it knows what it exports."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(file, encoding="ascii", errors="replace") as lines:
            rows = [line.split() for line in lines]
    except OSError:
        return ""
    for row in rows:
        if len(row) >= 5 and row[0] != "NV" and row[3] == wanted and row[4].strip("0:"):
            return f"nfs {row[1]} {row[4]}"
    return ""
