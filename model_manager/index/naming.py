"""The names of all files in a few large rows: a part of one is found in them much faster than by asking each file for its own.

A row has names of one category, as slots spell them, by their subfolders: NUL, the subfolder with `/` at its end (`/` alone
for none), then NUL and a name for each of its files; then the next subfolder. Names have neither of the two bytes. The rows may
hold names twice, and names that nothing has any more: whoever finds one looks for its files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from model_manager.facts import wire
from model_manager.index.database import Database

Slot = tuple[str, str]
"""Category, and the path below it."""

ROW: Final = 16_384
"""Bytes of a row, about: adding a name writes the last one of its category anew."""

SPARE: Final = 1_000
"""Names beyond twice those of the files that may be left over."""

AT_ONCE: Final = 100
"""Names whose files are looked for at once."""

MANY: Final = 500
"""Names that are put in order; of more, those that came first."""

_TOP: Final = b"/"


def add(db: Database, slots: Collection[Slot]) -> None:
    """Names that files have from now on."""
    by_category: dict[str, list[str]] = {}
    for category, slot in slots:
        by_category.setdefault(category, []).append(slot)
    for category, listed in by_category.items():
        _append(db, category, sorted(listed, key=lambda slot: slot.rpartition("/")))
    db.each("put_subfolder", {(category, slot[: slot.rfind("/") + 1]) for category, slot in slots})


def _append(db: Database, category: str, slots: Iterable[str]) -> None:
    last, some = db.first("last_names", {"category": category}) or (None, b"")
    rows: list[tuple[int | None, str, bytes]] = []
    pieces, size, here = [some], len(some), _last_subfolder(some)
    for slot in slots:
        if size >= ROW:
            rows.append((last, category, b"".join(pieces)))
            last, pieces, size, here = None, [], 0, None
        subfolder, slash, name = slot.encode().rpartition(b"/")
        piece = b"\0" + name
        if subfolder + slash != here:
            here = subfolder + slash
            piece = b"\0" + (here or _TOP) + piece
        pieces.append(piece)
        size += len(piece)
    db.each("put_names", [*rows, (last, category, b"".join(pieces))])


def _last_subfolder(some: bytes) -> bytes | None:
    """None where a row has no subfolder yet."""
    return _subfolder_at(some, len(some)) if some else None


def tidy(db: Database) -> None:
    """Begin anew when most names are of files that left, or when names are missing: an older schema had other rows."""
    (files,) = db.first("count_all") or (0,)
    held = sum(_names_in(some) for _, some in db.rows("rows_of_names", {"category": ""}))
    if not files <= held <= 2 * files + SPARE:
        with db.writing():
            db.all("empty_names")
            db.all("empty_subfolders")
            add(db, db.all("slots"))


def _names_in(some: bytes) -> int:
    """Each item begins with a NUL byte, and subfolders end with a slash."""
    return some.count(b"\0") - some.count(b"/\0")


def containing(db: Database, text: str, category: str, above: str, limit: int) -> list[int]:
    """Ids of locations in whose name a text occurs (as slots are spelt), by name, at most so many. Of a part that more than
    MANY names have, the first that came. `category`: "" for all; `above`: how the path begins."""
    part = text.encode()
    if not part or b"\0" in part or b"/" in part:
        return []
    found: set[tuple[bytes, str, bytes]] = set()
    for here, some in db.rows("rows_of_names", {"category": category}):
        hits = islice(_around(some, part, above.encode()), max(MANY, limit) - len(found))
        found.update((name, here, subfolder) for subfolder, name in hits)
        if len(found) >= max(MANY, limit):
            break
    ids: list[int] = []
    slots = iter(sorted(found))
    while len(ids) < limit and (batch := list(islice(slots, AT_ONCE))):
        asked = [[here, (subfolder + name).decode()] for name, here, subfolder in batch]
        values = {"slots": wire.dumps(asked).decode(), "limit": limit - len(ids)}
        ids += [row[0] for row in db.rows("at_slots", values)]
    return ids


def _around(some: bytes, part: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Subfolder and name of what has a part in its name, below a subfolder."""
    at = some.find(part)
    while at >= 0:
        start, end = some.rfind(b"\0", 0, at) + 1, some.find(b"\0", at)
        end = len(some) if end < 0 else end
        if some[end - 1 : end] != _TOP:
            subfolder = _subfolder_at(some, start)
            if subfolder.startswith(above):
                yield subfolder, some[start:end]
            elif (end := some.find(b"/", end)) < 0:
                return
        at = some.find(part, end)


def _subfolder_at(some: bytes, at: int) -> bytes:
    """That of a name: the last item before it that ends with a slash."""
    slash = some.rfind(b"/", 0, at)
    found = some[some.rfind(b"\0", 0, slash) + 1 : slash + 1]
    return b"" if found == _TOP else found
