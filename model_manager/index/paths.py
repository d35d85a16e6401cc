"""A part of a path: the subfolders that have it, or end where it begins, are fewer than files, and each is a range of an index.

They stand in a few large rows, which are searched as those of names are. A row has subfolders of one category, as slots spell
them, with `/` at their ends, in the order in which they came; a NUL byte stands before the first and behind each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from model_manager.facts import wire
from model_manager.index import naming
from model_manager.index.database import Database

Beginning = tuple[str, bytes]
"""Category, and how the paths below it begin."""

Rows = Sequence[tuple[str, bytes]]
"""Category, and some of its subfolders."""

ROW: Final = 16_384
"""Bytes of a row, about: adding a subfolder writes the last one of its category anew."""

MANY: Final = 500
"""Subfolders that are put in order at a time: of more, those that came first come first."""

FEW: Final = 500
"""Subfolders each of which is asked for names that begin so; of more, the names themselves are searched."""

_END: Final = b"/\0"


def add(db: Database, places: Collection[tuple[str, str]]) -> None:
    """Category and subfolder of files, from now on."""
    fresh = db.all("new_subfolders", {"places": wire.dumps(sorted(places)).decode()})
    db.each("put_subfolder", fresh)
    by_category: dict[str, list[bytes]] = {}
    for category, path in fresh:
        by_category.setdefault(category, []).append(path.encode() + b"\0")
    for category, pieces in by_category.items():
        db.each("put_subfolders", _appended(db, category, pieces))


def _appended(db: Database, category: str, pieces: Iterable[bytes]) -> list[tuple[int | None, str, bytes]]:
    number, some = db.first("last_subfolders", {"category": category}) or (None, b"\0")
    rows: list[tuple[int | None, str, bytes]] = []
    row, size = [some], len(some)
    for piece in pieces:
        if size >= ROW:
            rows.append((number, category, b"".join(row)))
            number, row, size = None, [b"\0"], 1
        row.append(piece)
        size += len(piece)
    return [*rows, (number, category, b"".join(row))]


def empty(db: Database) -> None:
    """Forget all, to add them anew."""
    db.all("empty_subfolders")
    db.all("empty_rows_of_subfolders")


def containing(db: Database, text: str, category: str, above: str, limit: int) -> list[int]:
    """Ids of locations whose path has a text (as slots are spelt) that is not all in the name, by folder and path, at most so
    many. The end of the folder's own name belongs to a path whose text goes on below it, unless `category` limits it to one; `above`:
    how the path below begins."""
    if "\0" in text:
        return []
    ids: dict[int, None] = {}
    floor, start, name = above.encode(), *text.encode().rpartition(b"/")[::2]
    rows: Rows = db.all("rows_of_subfolders", {"category": category})
    each = bool(name) and "/" in text and sum(some.count(start + _END) for _, some in rows) <= FEW
    found = _beginnings(rows, text, category, each=each)
    beginnings = (one for one in found if one[1].startswith(floor) or floor.startswith(one[1]))
    while len(ids) < limit and (some := sorted(islice(beginnings, MANY))):
        for here, beginning in _outermost(some):
            values = {"category": here, "text": max(beginning, floor, key=len).decode(), "limit": limit}
            ids |= dict.fromkeys(row[0] for row in db.rows("find_path_prefix", values))
            if len(ids) >= limit:
                break
    if name and "/" in text and not each and len(ids) < limit:
        ids |= dict.fromkeys(naming.beginning(db, name, start + b"/", category, floor, limit))
    return list(islice(ids, limit))


def _beginnings(rows: Rows, text: str, category: str, *, each: bool) -> Iterator[Beginning]:
    """In no order. `each`: also those that a name after the last slash begins, in each subfolder that ends before it."""
    first, slash, below = text.partition("/")
    start, _, name = text.rpartition("/")
    named = sorted({here for here, _ in rows})
    if not text:
        yield from ((here, b"") for here in named)
        return
    if slash and not category:
        yield from ((here, below.encode()) for here in named if here.endswith(first))
    for here, some in rows:
        yield from ((here, path) for path in _paths_with(some, text.encode()))
        if each:
            yield from ((here, path + name.encode()) for path in _paths_with(some, start.encode() + _END))


def _paths_with(some: bytes, part: bytes) -> Iterator[bytes]:
    """Of paths with a NUL byte before and after each, those that have a part."""
    at = some.find(part)
    while at >= 0:
        end = some.find(b"\0", at)
        yield some[some.rfind(b"\0", 0, at) + 1 : end]
        at = some.find(part, end)


def _outermost(beginnings: Iterable[Beginning]) -> Iterator[Beginning]:
    """Without those that begin like the one before."""
    last: Beginning | None = None
    for one in beginnings:
        if last is None or one[0] != last[0] or not one[1].startswith(last[1]):
            last = one
            yield one
