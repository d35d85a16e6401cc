"""How the matrix is grouped: by folder, base model, workflow or collection. What a workflow needs the catalog says."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model_manager.facts.fleet import Needed
from model_manager.fleet.matrix.shapes import Group
from model_manager.fleet.models.finding import AFTER_SLASH
from model_manager.fleet.needs import Demand
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked

PIVOTS: Final = ("folder", "base", "workflow", "collection")

MOST_ASKED: Final = 200
"""Workflows or collections that the catalog is asked about for one answer."""


Keyed = Mapping[str, Sequence[str]]
"""Key of a group → the places in it, by name."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row to be: `hash` and `size` are what the catalog says."""

    place: str
    key: str = ""
    hash: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The rows that were asked for, of `total`."""

    lines: Sequence[Line]
    total: int
    groups: tuple[Group, ...] = ()


class Pivots:
    def __init__(self, view: View, demand: Demand, told: Callable[[], object] = object) -> None:
        """`told`: another value whenever a model may be told to have another base model."""
        self._view = view
        self._demand = demand
        self._told = told
        self._based: tuple[object, Keyed] = (None, {})

    async def window(self, places: Sequence[str], asked: Asked, base_of: Callable[[ModelRow], str]) -> Window:
        """The rows of `places` in the order of the pivot. Models that a workflow needs are rows although nobody has them."""
        pivot = asked["pivot"]
        begin, end = asked["offset"], asked["offset"] + asked["limit"]
        if pivot is None:
            return Window([Line(place) for place in places[begin:end]], len(places))
        if pivot in ("workflow", "collection"):
            lines, unknown = await self._needed(places, asked)
            return Window(lines[begin:end], len(lines), _groups(lines, unknown))
        if pivot == "base":
            told = self._told()
            known = asked["q"], asked["folder"], asked["single"], told, len(places)
            if self._based[0] != known:
                self._based = known, self._keyed(places, base_of)
            return self._grouped(self._based[1], asked)
        return self._grouped(_by_folder(places), asked)

    def _keyed(self, places: Sequence[str], key_of: Callable[[ModelRow], str]) -> Keyed:
        rows, keyed = self._view.rows(), dict[str, list[str]]()
        for place in places:
            keyed.setdefault(key_of(rows[place]), []).append(place)
        return keyed

    def _grouped(self, keyed: Keyed, asked: Asked) -> Window:
        """Places are sorted already: only the rows of the window are made."""
        keys = [key for key in sorted(keyed) if asked["key"] in (None, key)]
        groups: list[Group] = []
        lines: list[Line] = []
        total, begin, end = 0, asked["offset"], asked["offset"] + asked["limit"]
        for key in keys:
            inside = keyed[key]
            lines += [Line(place, key) for place in inside[max(0, begin - total) : max(0, end - total)]]
            groups.append(Group(key=key, rows=len(inside), offset=total, unknown=""))
            total += len(inside)
        return Window(lines, total, tuple(groups))

    async def _needed(self, places: Sequence[str], asked: Asked) -> tuple[list[Line], dict[str, str]]:
        """The rows, and for each key why some may be missing."""
        workflows = asked["pivot"] == "workflow"
        ask = self._demand.of if workflows else self._demand.of_collection
        names = self._workflows() if workflows else self._collections()
        chosen = [name for name in sorted(names) if asked["key"] in (None, name)]
        wide, kept = asked["q"] is None and asked["folder"] is None and asked["single"] is None, set(places)
        unknown = dict.fromkeys(chosen[MOST_ASKED:], "too many in one answer; ask for it alone with 'key'")
        lines: list[Line] = []
        for name in chosen[:MOST_ASKED]:
            needs = await ask(name)
            unknown[name] = needs.unknown
            found = (self._line(name, each) for each in needs.models)
            lines += sorted((line for line in found if wide or _wanted(line, kept, asked)), key=lambda line: line.place)
        return lines, unknown

    def _line(self, key: str, need: Needed) -> Line:
        """At the place where machines have it, however that is spelt."""
        place = next(iter(sorted(self._view.catalogue.places(need.path))), str(need.path))
        pin = need.pin.hex if need.pin and "sha256" in need.pin.algorithms else ""
        return Line(place, key, pin, need.size)

    def _workflows(self) -> set[str]:
        return {flow.name for each in self._view.ids for flow in self._view.workflows(each)}

    def _collections(self) -> set[str]:
        beats = (self._view.heartbeat(each) for each in self._view.ids)
        return {name for beat in beats if beat for name in beat.collections}


def _wanted(line: Line, kept: set[str], asked: Asked) -> bool:
    """Whether it was found; one that nobody has is found by its name alone."""
    if line.place in kept:
        return True
    folder, words = asked["folder"], (asked["q"] or "").lower().split()
    named = all(word in line.place.lower() for word in words)
    return asked["single"] is None and named and (folder is None or line.place.startswith(f"{folder}/"))


def _groups(lines: Iterable[Line], unknown: Mapping[str, str]) -> tuple[Group, ...]:
    begins: dict[str, int] = {}
    counts: dict[str, int] = dict.fromkeys(unknown, 0)
    for number, line in enumerate(lines):
        begins.setdefault(line.key, number)
        counts[line.key] = counts.get(line.key, 0) + 1
    return tuple(
        Group(key=key, rows=count, offset=begins.get(key, 0), unknown=unknown.get(key, ""))
        for key, count in sorted(counts.items())
    )


def _by_folder(places: Sequence[str]) -> Keyed:
    """Those of a folder stand together, for they go by name."""
    keyed, begin = dict[str, Sequence[str]](), 0
    while begin < len(places):
        folder = places[begin].partition("/")[0]
        end = bisect_left(places, folder + AFTER_SLASH, begin)
        keyed[folder] = places[begin:end]
        begin = end
    return keyed
