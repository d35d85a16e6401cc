"""Held files as rows, and rows as held files."""

from __future__ import annotations

from typing import Any, Final

from model_manager.errors import BadPath
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath
from model_manager.index.database import Row

DIGESTS: Final = ("sha256", "blake3", "md5", "crc32", "tensor")
"""The columns of a content's digests. The bit of each in a location's `knows` is 1, 2, 4, 8, 16."""

LIMIT: Final = 2**63


def row_of(held: Held, content_id: int, directory_id: int, at: str) -> Row:
    """The parameters of `put_location`. Raises BadPath for a name that is not UTF-8: no index, wire or loader can carry it."""
    insist_on_utf8(held.file)
    mark, shelf = held.fingerprint, held.shelf
    category, slot = shelf.slot
    return (
        *(held.file, content_id, directory_id, shelf.folder, shelf.name, category, slot, slot.rpartition("/")[2]),
        *(*mark_of(mark), knows(held.digests), held.evidence, held.against, held.verified_at, at),
    )


def held_of(row: Row) -> Held:
    """The file of a row of one of the `held` queries."""
    file, root, folder, name, device, inode, size, mtime_ns, *digests, evidence, against, at = row
    return Held(
        file=file,
        root=root,
        shelf=ShelfPath(folder=folder, name=name),
        fingerprint=fingerprint_of(device, inode, size, mtime_ns),
        digests=digests_of(*digests),
        evidence=evidence,
        against=against,
        verified_at=at,
    )


def mark_of(fingerprint: Fingerprint) -> tuple[int, int, int, int]:
    """st_dev and st_ino are unsigned 64 bit numbers, SQLite's are signed."""
    device, inode = fingerprint.device, fingerprint.inode
    if device >= LIMIT:
        device -= 2 * LIMIT
    if inode >= LIMIT:
        inode -= 2 * LIMIT
    return device, inode, fingerprint.size, fingerprint.mtime_ns


def fingerprint_of(device: int, inode: int, size: int, mtime_ns: int) -> Fingerprint:
    if device < 0:
        device += 2 * LIMIT
    if inode < 0:
        inode += 2 * LIMIT
    return Fingerprint(device=device, inode=inode, size=size, mtime_ns=mtime_ns)


def digests_of(sha256: Any, blake3: Any, md5: Any, crc32: Any, tensor: Any) -> Digests | None:
    """None without a full digest: the others alone identify nothing."""
    if sha256 is None and blake3 is None:
        return None
    return Digests(sha256=sha256, blake3=blake3, md5=md5, crc32=crc32, tensor=tensor)


def knows(digests: Digests | None) -> int:
    """Which of DIGESTS are known, as bits."""
    if digests is None:
        return 0
    return sum(1 << bit for bit, name in enumerate(DIGESTS) if getattr(digests, name) is not None)


def insist_on_utf8(file: str) -> None:
    try:
        file.encode()
    except UnicodeEncodeError:
        raise BadPath(path=file, why="its name is not UTF-8") from None
