"""In which order somebody wants to see models, and the pages of such a list."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter
from typing import Any, Final, TypeVar

from model_manager.fleet.models.kept import Kept, Rank
from model_manager.fleet.models.traits import Trait, Traits
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked, Param, cursor_of
from model_manager.serving.paging import Page, page
from model_manager.serving.problems import bad_parameter

SORTS: Final[Mapping[str, Callable[[Trait, ModelRow], int | None]]] = {
    "size": lambda _, row: row.size,
    "bytes": lambda _, row: row.bytes,
    "copies": lambda _, row: row.copies,
    "machines": lambda _, row: row.machines,
    "used": lambda trait, _: trait.used,
    "added": lambda trait, _: trait.added,
}
"""Besides the name."""

SORTED: Final = (
    Param(name="sort", help="By what they are in order; equal ones go by name.", choices=("name", *SORTS)),
    Param(
        name="descending", help="The most first, with `sort`; what is not known comes last in any case.", kind="flag"
    ),
)

PIECE: Final = 500
"""Models that are put into order before others have their turn: some 1 ms."""

FEWER: Final = 4
"""So many times fewer models are put into order sooner than all that are in order are looked through."""

ALL: Final = ()
"""The question for all models."""

LAST: Final = 1 << 62
"""In place of what is not known."""

FIRST: Final = itemgetter(0)

BETWEEN: Final = "\0"
"""Of the parts of a cursor: no name has it."""

T = TypeVar("T")
Order = tuple[str, bool]

ORDERS: Final[tuple[Order, ...]] = tuple((sort, descending) for sort in SORTS for descending in (False, True))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Models in the order that was asked for, and what their cursors begin with; "" for those of a list that goes by name."""

    places: Sequence[str]
    tag: str = ""
    rank: Callable[[str], Any] | None = None


class Sorting:
    def __init__(self, view: View, traits: Traits) -> None:
        self._view = view
        self._traits = traits
        self._kept: Kept[Trait | None] = Kept(traits.journal, traits.of)
        self._one = asyncio.Lock()

    async def keep_up(self) -> None:
        """So that whoever asks for an order first does not wait until it is made."""
        for order in ORDERS:
            if self._kept.get((order, ALL)) is None:
                await self._prepare(order)
            await asyncio.sleep(0)

    async def prepared(self, asked: Asked) -> None:
        """So that `ordered` takes no time. Raises Answer 400 for a direction of nothing."""
        order = order_of(asked)
        if order is None or order[0] == "name":
            return
        await self._prepare(order)

    async def _prepare(self, order: Order) -> None:
        if self._kept.get((order, ALL)) is None:
            async with self._one:
                await self._traits.current()
                if self._kept.get((order, ALL)) is None:
                    await self._make(order)

    def ordered(
        self, found: Sequence[str], asked: Asked, question: Hashable = None, fits: Callable[[str], bool] = bool
    ) -> Chosen:
        """`found` goes by name where somebody asked for an order. After `prepared`, and after all that is known was taken up.
        `question`: what else was asked of all models, by which the list is kept, for as long as it can be told what `fits`."""
        order = order_of(asked)
        if order is None or order == ("name", False):
            return Chosen(found)
        tag = f"{order[0]}{'-' if order[1] else '+'}"
        if order[0] == "name":
            return Chosen(found[::-1], tag)
        rank = rank_of(*order)

        def key(place: str) -> Any:
            return rank(place, self._traits.of(place))

        places = self._kept.get((order, question)) if question is not None else None
        if places is None:
            places = made = self._arranged(found, order)
            if question is not None:
                self._kept.put((order, question), made, fits, rank)
        return Chosen(places, tag, key)

    def _arranged(self, found: Sequence[str], order: Order) -> list[str]:
        everything, value, of = self._kept.get((order, ALL)), value_of(*order), self._traits.of
        if everything is None or FEWER * len(found) < len(everything):
            return sorted(found, key=lambda place: value(of(place)))  # they go by name, and equal ones stay so
        return list(compress(everything, map(set(found).__contains__, everything)))

    async def _make(self, order: Order) -> None:
        """All models in order, a piece at a time: they go by name already, and sorting leaves equal ones as they are."""
        value, places, version = value_of(*order), self._view.order(), self._traits.journal.version
        runs: list[list[tuple[int, str]]] = []
        for begin in range(0, len(places), PIECE):
            run = [(value(self._traits.of(place)), place) for place in places[begin : begin + PIECE]]
            run.sort(key=FIRST)
            while runs and len(runs[-1]) <= len(run):
                run = _merged(runs.pop(), run)
            runs.append(run)
            await asyncio.sleep(0)
        while len(runs) > 1:
            last = runs.pop()
            runs.append(_merged(runs.pop(), last))
            await asyncio.sleep(0)
        found, rank = [place for _, place in runs[0]] if runs else [], rank_of(*order)
        self._kept.put(
            (order, ALL), self._caught_up(found, version, rank), self._view.catalogue.counted.__contains__, rank
        )

    def _caught_up(self, found: list[str], version: int, rank: Rank[Trait | None]) -> list[str]:
        """What changed meanwhile goes to where it belongs now."""

        def key(place: str) -> Any:
            return rank(place, self._traits.of(place))

        changed = self._traits.journal.since(version)
        if changed is None:
            return sorted(filter(self._traits.held, self._view.order()), key=key)
        found = [place for place in found if place not in changed] if changed else found
        for place in changed:
            if self._traits.held(place):
                insort(found, place, key=key)
        return found


def order_of(asked: Asked) -> Order | None:
    """By what, and whether the most comes first; None: nobody asked for one. Raises Answer 400."""
    sort, descending = asked.get("sort"), asked.get("descending")
    if sort is None and descending is not None:
        raise bad_parameter("descending", "goes with 'sort'. Give both, or none.")
    return None if sort is None else (sort, bool(descending))


def value_of(sort: str, descending: bool) -> Callable[[Trait | None], int]:
    """What is not known comes last in both directions."""
    value, sign = SORTS[sort], -1 if descending else 1

    def signed(trait: Trait | None) -> int:
        known = None if trait is None or trait.row is None else value(trait, trait.row)
        return LAST if known is None else sign * known

    return signed


def rank_of(sort: str, descending: bool) -> Rank[Trait | None]:
    """Equal ones go by name."""
    value = value_of(sort, descending)
    return lambda place, trait: (value(trait), place)


def page_of(chosen: Chosen, cursor: str | None, limit: int, made: Callable[[str], T]) -> Page[T]:
    """Up to `limit` items after a cursor, which names what the last one was ordered by: what comes and goes meanwhile moves no page.
    Raises Answer 400 for a cursor of another order."""
    if cursor is not None and cursor.count(BETWEEN) != (2 if chosen.tag else 0):
        raise _of_another()
    if not chosen.tag:
        return page(chosen.places, cursor, limit, made)
    begin = 0 if cursor is None else _after(chosen, cursor)
    shown = chosen.places[begin : begin + limit]
    more = begin + limit < len(chosen.places)
    return Page(
        items=tuple(map(made, shown)),
        next=cursor_of(_cursor(chosen, shown[-1])) if more else None,
        total=len(chosen.places),
    )


def _cursor(chosen: Chosen, place: str) -> str:
    value = chosen.rank(place)[0] if chosen.rank else 0
    return BETWEEN.join((chosen.tag, str(value), place))


def _after(chosen: Chosen, cursor: str) -> int:
    tag, value, place = cursor.split(BETWEEN)
    if tag != chosen.tag or not value.removeprefix("-").isdecimal():
        raise _of_another()
    if chosen.rank is None:  # names from Z to A
        return len(chosen.places) - bisect_left(chosen.places[::-1], place)
    return bisect_right(chosen.places, (int(value), place), key=chosen.rank)


def _of_another() -> Exception:
    return bad_parameter(
        "cursor", "belongs to another order. Take 'next' of the page before with the same 'sort' and 'descending'."
    )


def _merged(one: list[tuple[int, str]], other: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Two lists that are in order are merged by sorting them."""
    one += other
    one.sort(key=FIRST)
    return one
