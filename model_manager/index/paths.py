"""A part of a path: the subfolders that have it, or end where it begins, are few, and each is a range of an index."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from model_manager.index.database import Database

Beginning = tuple[str, str]
"""Category, and how the paths below it begin."""


def containing(db: Database, text: str, category: str, above: str, limit: int) -> list[int]:
    """Ids of locations whose path has a text (as slots are spelt) that is not all in the name, by folder and path, at most so
    many. The folder's own name belongs to a path unless `category` limits it to one; `above`: how the path below begins."""
    ids: list[int] = []
    for here, beginning in _outermost(_beginnings(db, text, category)):
        if not (beginning.startswith(above) or above.startswith(beginning)):
            continue
        values = {"category": here, "text": max(beginning, above, key=len), "limit": limit - len(ids)}
        ids += [row[0] for row in db.rows("find_path_prefix", values)]
        if len(ids) >= limit:
            break
    return ids


def _beginnings(db: Database, text: str, category: str) -> Iterator[Beginning]:
    """In order."""
    first, slash, below = text.partition("/")
    start, _, rest = text.rpartition("/")
    for here, joined in db.rows("subfolders", {"category": category}):
        if not text or (not category and text in here):
            yield here, ""
            continue
        reaching = [path + rest for path in _paths_with(joined, f"{start}/\0")] if slash else []
        if slash and not category and here.endswith(first):
            reaching.append(below)
        for beginning in heapq.merge(_paths_with(joined, text), sorted(reaching)):
            yield here, beginning


def _paths_with(joined: str, part: str) -> Iterator[str]:
    """Of paths with a NUL character before and after each, those that have a part."""
    at = joined.find(part)
    while at >= 0:
        end = joined.find("\0", at)
        yield joined[joined.rfind("\0", 0, at) + 1 : end]
        at = joined.find(part, end)


def _outermost(beginnings: Iterable[Beginning]) -> Iterator[Beginning]:
    """Without those that begin like the one before."""
    last: Beginning | None = None
    for one in beginnings:
        if last is None or one[0] != last[0] or not one[1].startswith(last[1]):
            last = one
            yield one
