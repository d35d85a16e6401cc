"""The names of all files in a few large rows: a part of one is found in them much faster than by asking each file for its own.

A row has names of one category, as slots spell them, by their subfolders: NUL, the subfolder with `/` at its end (`/` alone
for none), then NUL and a name for each of its files; then the next subfolder. Names have neither of the two bytes. The rows may
hold names twice, and names that nothing has any more: whoever finds one looks for its files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from model_manager.facts import wire
from model_manager.index.database import Database

Slot = tuple[str, str]
"""Category, and the path below it."""

ROW: Final = 16_384
"""Bytes of a row, about: adding a name writes the last one of its category anew."""

AT_ONCE: Final = 100
"""Names whose files are looked for at once."""

MANY: Final = 500
"""Names that are put in order; of more, those that came first."""

_TOP: Final = b"/"
_REST: Final = rb"[^\0/]*(?=\0|\Z)"
"""Of a name, and of no subfolder."""


def add(db: Database, slots: Collection[Slot]) -> None:
    """Names that files have from now on."""
    by_category: dict[str, list[str]] = {}
    for category, slot in slots:
        by_category.setdefault(category, []).append(slot)
    for category, listed in by_category.items():
        _append(db, category, sorted(listed, key=lambda slot: slot.rpartition("/")))


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


def count(db: Database) -> int:
    """How many names the rows hold. Each item begins with a NUL byte, and subfolders end with a slash."""
    return sum(some.count(b"\0") - some.count(b"/\0") for _, some in db.rows("rows_of_names", {"category": ""}))


def containing(db: Database, text: str, category: str, above: str, limit: int) -> list[int]:
    """Ids of locations in whose name a text occurs (as slots are spelt), by name, at most so many. Of a part that more than
    MANY names have, the first that came. `category`: "" for all; `above`: how the path begins."""
    part = text.encode()
    if not part or b"\0" in part or b"/" in part:
        return []
    found = _searched(db, category, lambda some: _around(some, part, above.encode()), max(MANY, limit))
    return _located(db, sorted(found, key=lambda one: (one[2], *one)), limit)


def beginning(db: Database, start: bytes, end: bytes, category: str, above: bytes, limit: int) -> list[int]:
    """Ids of locations whose name begins so, in subfolders that end with `end` and begin with `above`; as `containing` else,
    but by path."""
    if b"\0" in start + end:
        return []
    found = _searched(db, category, lambda some: _after(some, start, end, above), max(MANY, limit))
    return _located(db, sorted(found), limit)


Found = tuple[str, bytes, bytes]
"""Category, subfolder and name."""


def _searched(
    db: Database, category: str, search: Callable[[bytes], Iterable[tuple[bytes, bytes]]], most: int
) -> set[Found]:
    found: set[Found] = set()
    for here, some in db.rows("rows_of_names", {"category": category}):
        found.update((here, *hit) for hit in islice(search(some), most - len(found)))
        if len(found) >= most:
            break
    return found


def _located(db: Database, found: Iterable[Found], limit: int) -> list[int]:
    ids: list[int] = []
    slots = iter(found)
    while len(ids) < limit and (batch := list(islice(slots, AT_ONCE))):
        asked = [[here, (subfolder + name).decode()] for here, subfolder, name in batch]
        values = {"slots": wire.dumps(asked).decode(), "limit": limit - len(ids)}
        ids += [row[0] for row in db.rows("at_slots", values)]
    return ids


def _around(some: bytes, part: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Subfolder and name of what has a part in its name, below a subfolder. Parts of subfolders are passed over by the search
    itself: they may be many."""
    names, at = re.compile(re.escape(part) + _REST), 0
    while hit := names.search(some, at):
        start, at = some.rfind(b"\0", 0, hit.start()) + 1, hit.end()
        subfolder = _subfolder_at(some, start)
        if subfolder.startswith(above):
            yield subfolder, some[start:at]
        elif (at := some.find(b"/", at)) < 0:
            return


def _after(some: bytes, start: bytes, end: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Subfolder and name of what begins so, in subfolders that begin and end so. It goes by what is rarer here."""
    if some.count(end + b"\0") < some.count(b"\0" + start):
        return _within(some, start, end, above)
    return _beginning(some, start, end, above)


def _beginning(some: bytes, start: bytes, end: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    names, at = re.compile(b"\0" + re.escape(start) + _REST), 0
    while hit := names.search(some, at):
        at = hit.end()
        subfolder = _subfolder_at(some, hit.start())
        if subfolder.startswith(above) and subfolder.endswith(end):
            yield subfolder, some[hit.start() + 1 : at]
        elif (at := some.find(b"/", at)) < 0:
            return


def _within(some: bytes, start: bytes, end: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    names, at = re.compile(rb"(?:\0[^\0/]+(?=\0|\Z))+"), 0
    while (at := some.find(end + b"\0", at)) >= 0:
        at += len(end)
        subfolder = _subfolder_at(some, at)
        if subfolder.startswith(above) and (listed := names.match(some, at)):
            yield from ((subfolder, name) for name in listed[0][1:].split(b"\0") if name.startswith(start))


def _subfolder_at(some: bytes, at: int) -> bytes:
    """That of a name: the last item before it that ends with a slash."""
    slash = some.rfind(b"/", 0, at)
    found = some[some.rfind(b"\0", 0, slash) + 1 : slash + 1]
    return b"" if found == _TOP else found
