"""The names of all files in a few large rows: a part of one is found in them much faster than by asking each file for its own.

The rows may hold names twice, and names that nothing has any more: whoever finds one looks for its files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from model_manager.facts import wire
from model_manager.index.database import Database

ROW: Final = 16_384
"""Bytes of a row, about: adding a name writes the last one anew."""

SPARE: Final = 1_000
"""Names beyond twice those of the files that may be left over."""

AT_ONCE: Final = 500
"""Names whose files are looked for at once."""

MANY: Final = 2_000
"""Names beyond which a part is not rare."""


def add(db: Database, bases: Collection[str]) -> None:
    """Names that files have from now on."""
    if not bases:
        return
    last, some = db.first("last_bases") or (1, b"")
    rows: list[tuple[int, bytes]] = []
    pieces, size = ([some], len(some)) if some else ([], 0)
    for base in bases:
        if size >= ROW:
            rows.append((last, b"\0".join(pieces)))
            last, pieces, size = last + 1, [], 0
        piece = base.encode()
        pieces.append(piece)
        size += len(piece) + 1
    db.each("put_bases", [*rows, (last, b"\0".join(pieces))])


def tidy(db: Database) -> None:
    """Begin anew when most names are of files that left."""
    (files,) = db.first("count_all") or (0,)
    held = sum(some.count(b"\0") + 1 for (some,) in db.rows("bases"))
    if held > 2 * files + SPARE:
        with db.writing():
            db.all("empty_bases")
            add(db, [base for (base,) in db.all("names", {"limit": -1})])


def containing(db: Database, text: str, limit: int) -> list[int] | None:
    """Ids of locations in whose name a text occurs (as slots are spelt), by name, at most so many; None for what so many
    names contain that asking each file in order finds enough of them sooner."""
    part, found = text.encode(), set[bytes]()
    if not part or b"\0" in part:
        return []
    for (some,) in db.rows("bases"):
        found.update(_around(some, part))
        if len(found) > MANY:
            return None
    ids: list[int] = []
    names = iter(sorted(found))
    while len(ids) < limit and (batch := [name.decode() for name in islice(names, AT_ONCE)]):
        asked = {"bases": wire.dumps(batch).decode(), "limit": limit - len(ids)}
        ids += [row[0] for row in db.rows("named", asked)]
    return ids


def _around(some: bytes, part: bytes) -> Iterator[bytes]:
    """The names in a row in which a part occurs."""
    at = some.find(part)
    while at >= 0:
        start, end = some.rfind(b"\0", 0, at) + 1, some.find(b"\0", at)
        if end < 0:
            yield some[start:]
            return
        yield some[start:end]
        at = some.find(part, end)
