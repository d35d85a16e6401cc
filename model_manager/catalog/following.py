"""What a model needs, and what that needs: followed level by level, cycles told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model_manager.catalog.records import Stored
from model_manager.facts import wire

MAX_DEPTH: Final = 16
MAX_MODELS: Final = 20_000
"""Levels, and models, after which following stops."""

NOTHING: Final = '"dependencies":[]}'

Look = Callable[[Collection[str]], Awaitable[dict[str, Stored]]]
"""References → records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A model that was met, `depth` steps away, by the name of who needs it. `stored` None: nobody described it."""

    reference: str
    stored: Stored | None
    depth: int
    needed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """`cycles` are names that lead back to their first. `complete` is False when a limit ended it."""

    met: tuple[Met, ...]
    cycles: tuple[tuple[str, ...], ...]
    complete: bool


def needs_of(stored: Stored) -> list[str]:
    """What a model needs. It is the last thing that its JSON says, and most need nothing: those are not read for it."""
    if stored.doc.endswith(NOTHING):
        return []
    needs: list[str] = wire.loads(stored.doc)["dependencies"]
    return needs


async def follow(begin: Iterable[Stored], look: Look) -> Followed:
    """Everything that these models need, each once, nearest first."""
    level = list(begin)
    known = {model.id: model for model in level}
    met: list[Met] = []
    edges: dict[str, list[str]] = {}
    absent: set[str] = set()
    for depth in range(1, MAX_DEPTH + 1):
        wanted = list(dict.fromkeys((need, model.id) for model in level for need in needs_of(model)))
        found = await look({need for need, _ in wanted}) if wanted else {}
        level = []
        for need, owner in wanted:
            stored = found.get(need)
            if stored is None:
                if need not in absent:
                    met.append(Met(reference=need, stored=None, depth=depth, needed_by=known[owner].name))
                absent.add(need)
                continue
            edges.setdefault(owner, []).append(stored.id)
            if stored.id not in known:
                known[stored.id] = stored
                level.append(stored)
                met.append(Met(reference=need, stored=stored, depth=depth, needed_by=known[owner].name))
        if not level or len(known) > MAX_MODELS:
            break
    names = {identity: model.name for identity, model in known.items()}
    return Followed(met=tuple(met), cycles=tuple(cycles(edges, names)), complete=not level)


def cycles(edges: Mapping[str, list[str]], names: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One cycle for each edge that leads back (depth first), as names; the first name stands at the end again."""
    state: dict[str, bool] = {}
    found: list[tuple[str, ...]] = []
    for root in edges:
        if root in state:
            continue
        path = [root]
        waiting = [iter(edges.get(root, ()))]
        state[root] = True
        while waiting:
            following = next(waiting[-1], None)
            if following is None:
                waiting.pop()
                state[path.pop()] = False
            elif following not in state:
                state[following] = True
                path.append(following)
                waiting.append(iter(edges.get(following, ())))
            elif state[following]:
                loop = [*path[path.index(following) :], following]
                found.append(tuple(names[each] for each in loop))
    return found
