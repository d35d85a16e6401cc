"""Pages of a sorted list: a cursor names the last key, so that what comes and goes meanwhile moves no page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from model_manager.serving.asking import cursor_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """`next`: the cursor of the following page, None at the end; `total` of all pages."""

    items: tuple[T, ...]
    next: str | None
    total: int


def page(keys: Sequence[str], after: str | None, limit: int, made: Callable[[str], T]) -> Page[T]:
    """Up to `limit` items after the key `after` of sorted `keys`; only those of the page are `made`."""
    begin = 0 if after is None else bisect_right(keys, after)
    chosen = keys[begin : begin + limit]
    more = begin + limit < len(keys)
    return Page(items=tuple(map(made, chosen)), next=cursor_of(chosen[-1]) if more else None, total=len(keys))
