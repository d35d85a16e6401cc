"""In which order do downloads start?"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from model_manager.facts.model import Requirements
from model_manager.facts.plan import Fetch
from model_manager.facts.shelf import ShelfPath

SMALL: Final = 64 * 1024 * 1024
"""Bytes up to which a download may use the slot that long ones leave free."""

UNKNOWN: Final = 1 << 40
"""Bytes that a download of unknown length counts for: more than any model has."""

_MACHINE: Final = ""
"""What is required without a workflow, as if it were one."""


def small(fetch: Fetch) -> bool:
    """Whether a download is known to be short, so that it need not wait behind long ones."""
    return 0 < fetch.bytes <= SMALL


def ordered(fetches: Iterable[Fetch], requirements: Requirements, present: Collection[ShelfPath]) -> tuple[Fetch, ...]:
    """Required downloads first, among them those of the workflow that lacks the fewest bytes, small before large.

    A model that several workflows share goes with the first of them and counts as here for the others. `present` are the
    paths that are here or come without a download; a workflow that lacks anything else, or whose needs are not known,
    cannot become ready and goes last. Whoever waits `after` another download follows it.
    """
    todo = {fetch.wanted.model.path: fetch for fetch in fetches}
    leaders = {path: fetch.after if fetch.after in todo else path for path, fetch in todo.items()}
    required = {leaders[path] for path, fetch in todo.items() if fetch.wanted.required}
    weights = {path: fetch.bytes or UNKNOWN for path, fetch in todo.items()}
    turns = _turns(_lacking(requirements, leaders, required, present), _hopeless(requirements), weights)

    def rank(path: ShelfPath) -> tuple[bool, int, int, ShelfPath, bool, ShelfPath]:
        leader = leaders[path] or path
        turn = turns.get(leader, len(turns))
        return leader not in required, turn, weights[leader], leader, path != leader, path

    return tuple(todo[path] for path in sorted(todo, key=rank))


def _lacking(
    requirements: Requirements,
    leaders: Mapping[ShelfPath, ShelfPath | None],
    required: Collection[ShelfPath],
    present: Collection[ShelfPath],
) -> dict[str, set[ShelfPath]]:
    """Workflow → what it lacks: downloads, and places that nothing will fill."""
    lacking = {
        need.name: {leaders.get(path) or path for path in need.required if path not in present}
        for need in requirements.workflows
    }
    lacking[_MACHINE] = set(required).difference(*lacking.values())
    return lacking


def _hopeless(requirements: Requirements) -> frozenset[str]:
    return frozenset(need.name for need in requirements.workflows if need.unknown)


def _turns(
    lacking: Mapping[str, set[ShelfPath]], hopeless: Collection[str], weights: Mapping[ShelfPath, int]
) -> dict[ShelfPath, int]:
    """Download → the turn of the workflow that it goes with; after each turn the others lack less."""
    askers: dict[ShelfPath, list[str]] = {}
    for name, paths in lacking.items():
        for path in paths:
            askers.setdefault(path, []).append(name)
    left = {
        name: sum(weights.get(path, UNKNOWN) for path in paths) + UNKNOWN * (name in hopeless)
        for name, paths in lacking.items()
    }
    heap = [(size, name) for name, size in left.items()]
    heapq.heapify(heap)
    turns: dict[ShelfPath, int] = {}
    while heap:
        size, name = heapq.heappop(heap)
        if left.get(name) != size:
            continue  # it lacks less by now, and stands there with that
        del left[name]
        turn = len(turns)
        for path in lacking[name] & weights.keys() - turns.keys():
            turns[path] = turn
            for asker in askers[path]:
                if asker in left:
                    left[asker] -= weights[path]
                    heapq.heappush(heap, (left[asker], asker))
    return turns
