"""Which models somebody wants to see: the filters that every list of models takes."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from model_manager.errors import StoreUnavailable
from model_manager.fleet.models.uses import Uses
from model_manager.fleet.registry import Registry, kept
from model_manager.fleet.stablequeue import shapes
from model_manager.serving.asking import Asked, Param
from model_manager.serving.problems import Answer

FILTERS: Final = (
    Param(name="type", help="checkpoint, lora, or a folder such as `vae`."),
    Param(name="base", help="Only of this base model, as GET /facets has it."),
    Param(name="tag", help="Only with this tag or trained word."),
    Param(name="under", help="Only below this directory, such as `loras/SD15/`."),
    Param(name="duplicates", help="Only models whose bytes are elsewhere too, or are not.", kind="flag"),
    Param(name="unused", help="Only models that no workflow and no job needs, or that some do.", kind="flag"),
    Param(name="updates", help="Only models of which a later version is known here, or is not.", kind="flag"),
    Param(name="conflicting", help="Only models with several hashes under one name, or without.", kind="flag"),
    Param(name="verified", help="Only models all of whose copies are verified, or are not.", kind="flag"),
)
"""Every list of models takes these."""

NAMES: Final = tuple(param.name for param in FILTERS)

IDLE: Final = 30 * 24 * 3600
"""Seconds after its last job that a model counts as unused."""

KEPT: Final = 16
"""Answers that are remembered until something changes."""

MOST: Final = 500
"""Values of one facet."""

Fits = Callable[[str], bool]


class Filters:
    """`clock` is Unix seconds."""

    def __init__(self, registry: Registry, uses: Uses, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._uses = uses
        self._clock = clock
        self._facets: tuple[tuple[Any, ...], shapes.Facets] | None = None
        self._newest: tuple[tuple[Any, ...], Mapping[str, int]] | None = None
        self._kept: OrderedDict[tuple[Any, ...], tuple[Sequence[str], Sequence[str]]] = OrderedDict()

    async def chosen(self, places: Sequence[str], asked: Asked, names: Iterable[str] = NAMES) -> Sequence[str]:
        """Those of the places that fit. Raises Answer 409 while nobody can tell what is used."""
        given = {name: asked[name] for name in names if asked.get(name) is not None}
        if not given:
            return places
        with suppress(StoreUnavailable):  # what people told is missing then, and all that machines tell is there
            await self._registry.store.refresh()
        used = await self._uses.places() if "unused" in given else None
        if used is not None and used.unknown:
            detail = f"What is used cannot be told: {used.unknown}. Ask again later, or without this filter."
            raise Answer(409, "uses-unknown", detail)
        key = (id(places), *sorted(given.items()), *self._registry.state, used.places if used else None)
        kept = self._kept.get(key)
        if kept is None or kept[0] is not places:
            tests = [self._test(name, value, used.places if used else frozenset()) for name, value in given.items()]
            kept = places, [place for place in places if all(test(place) for test in tests)]
            self._kept[key] = kept
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept[1]

    def _test(self, name: str, value: Any, used: frozenset[str]) -> Fits:
        registry, rows = self._registry, self._registry.view.rows()
        match name:
            case "type":
                return lambda place: registry.type(place) == value
            case "base":
                return lambda place: registry.text(place, "civitai_model_base") == value
            case "tag":
                return lambda place: value in registry.tags(place)
            case "under":
                begin = value.rstrip("/") + "/"
                return lambda place: place.startswith(begin)
            case "duplicates":
                twins = self.twins()
                return lambda place: (place in twins) == value
            case "unused":
                late = self._clock() - IDLE
                return lambda place: self._idle(place, used, late) == value
            case "updates":
                newest = self.newest()
                return lambda place: outdated(registry, place, newest) == value
            case "conflicting":
                return lambda place: (place in rows and len(rows[place].hashes) > 1) == value
            case _:
                return lambda place: (place in rows and rows[place].verified == rows[place].copies) == value

    def _idle(self, place: str, used: frozenset[str], late: float) -> bool:
        row = self._registry.row(place)
        last = self._registry.view.usage.anywhere(row.folder, row.name, row.hashes) if row else None
        return place not in used and (last is None or last < late)

    def twins(self) -> frozenset[str]:
        """Models whose bytes have another place too, or several on one machine."""
        registry = self._registry
        return frozenset(
            place
            for place, row in registry.view.rows().items()
            if row.copies > row.machines or any(len(registry.same(sha256)) > 1 for sha256 in row.hashes)
        )

    async def narrowed(self, places: Sequence[str], asked: Asked) -> Sequence[str]:
        """All filters at once."""
        return await self.chosen(places, asked)

    def newest(self) -> Mapping[str, int]:
        """CivitAI's model → the latest version that is known here; looked through again when something was told."""
        told = self._registry.state[1:]
        if self._newest is None or self._newest[0] != told:
            self._newest = told, newest_versions(self._registry)
        return self._newest[1]

    async def facets(self, _: Asked) -> shapes.Facets:
        """How many models there are of each base, tag and type, and below each directory."""
        registry = self._registry
        places = await kept(registry.places())
        if self._facets is None or self._facets[0] != (id(places), *registry.state):
            self._facets = (id(places), *registry.state), self._counted(places)
        return self._facets[1]

    def _counted(self, places: Sequence[str]) -> shapes.Facets:
        registry = self._registry
        tags: Counter[str] = Counter()
        folders: Counter[str] = Counter()
        for place in places:
            tags.update(registry.tags(place))
            folders.update(_above(place))
        bases = Counter(filter(None, (registry.text(place, "civitai_model_base") for place in places)))
        return shapes.Facets(
            bases=_most(bases),
            tags=_most(tags),
            types=_most(Counter(map(registry.type, places))),
            folders=tuple(sorted(_most(folders), key=lambda each: each.value)),
        )


def newest_versions(registry: Registry) -> Mapping[str, int]:
    """CivitAI's model → its latest version that anybody here told of."""
    newest: dict[str, int] = {}
    for place in registry.described():
        model, version = registry.text(place, "civitai_id"), _number(registry.text(place, "civitai_version_id"))
        if model:
            newest[model] = max(newest.get(model, 0), version)
    return newest


def outdated(registry: Registry, place: str, newest: Mapping[str, int]) -> bool:
    """Whether a later version of it is known."""
    version = _number(registry.text(place, "civitai_version_id"))
    return bool(version) and version < newest.get(registry.text(place, "civitai_id"), 0)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


def _above(place: str) -> Iterator[str]:
    """The directories that it lies below."""
    at = place.find("/")
    while at >= 0:
        yield place[: at + 1]
        at = place.find("/", at + 1)


def _most(counts: Counter[str]) -> tuple[shapes.Facet, ...]:
    return tuple(shapes.Facet(value=value, models=models) for value, models in counts.most_common(MOST))
