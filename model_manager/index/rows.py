"""Held files as rows, and rows as held files."""

from __future__ import annotations

from typing import Any

from model_manager.errors import BadPath
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath

Row = tuple[Any, ...]


def row_of(held: Held) -> Row:
    """The parameters of `put_held`. Raises BadPath for a name that is not UTF-8: no index, wire or loader can carry it."""
    insist_on_utf8(held.file)
    mark, digests, (category, slot) = held.fingerprint, held.digests, held.shelf.slot
    known = (digests.sha256, digests.blake3, digests.md5, digests.autov3) if digests else (None,) * 4
    return (
        *(held.file, held.root, held.shelf.folder, held.shelf.name),
        *(_signed(mark.device), _signed(mark.inode), mark.size, mark.mtime_ns),
        *known,
        *(held.evidence, held.against, held.verified_at, category, slot),
    )


def held_of(row: Row) -> Held:
    """The file of a row of one of the `held` queries."""
    file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, at = row
    return Held(
        file=file,
        root=root,
        shelf=ShelfPath(folder=folder, name=name),
        fingerprint=Fingerprint(device=_unsigned(device), inode=_unsigned(inode), size=size, mtime_ns=mtime_ns),
        digests=Digests(sha256=sha256, blake3=blake3, md5=md5, autov3=autov3) if sha256 or blake3 else None,
        evidence=evidence,
        against=against,
        verified_at=at,
    )


def insist_on_utf8(file: str) -> None:
    try:
        file.encode()
    except UnicodeEncodeError:
        raise BadPath(path=file, why="its name is not UTF-8") from None


def _signed(number: int) -> int:
    """st_dev and st_ino are unsigned 64 bit numbers, SQLite's are signed."""
    return number - 2**64 if number >= 2**63 else number


def _unsigned(number: int) -> int:
    return number + 2**64 if number < 0 else number
