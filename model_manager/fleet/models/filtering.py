"""Which models somebody wants to see: the filters that every list of models takes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final

from model_manager.errors import StoreUnavailable
from model_manager.fleet.models.traits import Traits
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
    Param(name="updates", help="Only models of which a later version is known, or is not.", kind="flag"),
    Param(name="conflicting", help="Only models with several hashes under one name, or without.", kind="flag"),
    Param(name="verified", help="Only models all of whose copies are verified, or are not.", kind="flag"),
)
"""Every list of models takes these."""

NAMES: Final = tuple(param.name for param in FILTERS)

IDLE: Final = 30 * 24 * 3600
"""Seconds after its last job that a model counts as unused."""

HOUR: Final = 3_600

AFTER_SLASH: Final = "0"
"""The character behind "/": what begins with a directory stands between them."""

FEWER: Final = 8
"""So many times fewer models are put into order sooner than all are looked through."""

KEPT: Final = 64
"""Answers that are remembered until something changes."""

MOST: Final = 500
"""Values of one facet."""


class Filters:
    """`clock` is Unix seconds."""

    def __init__(self, registry: Registry, uses: Uses, traits: Traits, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._uses = uses
        self._traits = traits
        self._clock = clock
        self._facets: tuple[int, shapes.Facets] | None = None
        self._kept: OrderedDict[tuple[Any, ...], tuple[Sequence[str], Sequence[str]]] = OrderedDict()

    async def chosen(self, places: Sequence[str], asked: Asked, names: Iterable[str] = NAMES) -> Sequence[str]:
        """Those of the places that fit. Raises Answer 409 while nobody can tell what is used."""
        given = {name: asked[name] for name in names if asked.get(name) is not None}
        if not given:
            return places
        with suppress(StoreUnavailable):  # what people told is missing then, and all that machines tell is there
            await self._registry.store.refresh()
        await self._traits.current()
        used = await self._uses.places() if "unused" in given else None
        if used is not None and used.unknown:
            detail = f"What is used cannot be told: {used.unknown}. Ask again later, or without this filter."
            raise Answer(409, "uses-unknown", detail)
        usage = (used.places, id(self._registry.view.usage), self._clock() // HOUR) if used else None
        key = (id(places), *sorted(given.items()), self._traits.version, usage)
        kept = self._kept.get(key)
        if kept is None or kept[0] is not places:
            kept = self._kept[key] = places, self._sifted(places, given, used.places if used else frozenset())
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept[1]

    def _sifted(self, places: Sequence[str], given: Mapping[str, Any], used: frozenset[str]) -> Sequence[str]:
        """What few models fit is looked at first."""
        wanted, unwanted = list[AbstractSet[str]](), list[AbstractSet[str]]()
        for name, value in given.items():
            if name != "under":
                (unwanted if value is False else wanted).append(self._fitting(name, value, used))
        found = self._below(places, given["under"]) if "under" in given else places
        for each in sorted(wanted, key=len):
            found = self._among(found, each)
        for each in unwanted:
            found = [place for place in found if place not in each]
        return found

    def _below(self, places: Sequence[str], directory: str) -> Sequence[str]:
        begin = directory.rstrip("/") + "/"
        if self._all(places):
            return places[bisect_left(places, begin) : bisect_left(places, begin[:-1] + AFTER_SLASH)]
        return [place for place in places if place.startswith(begin)]

    def _among(self, places: Sequence[str], fitting: AbstractSet[str]) -> Sequence[str]:
        """In their order; of all places, which are in order, those that fit are put into it when they are few."""
        if self._all(places) and FEWER * len(fitting) < len(places):
            rows = self._registry.view.rows()
            return sorted(place for place in fitting if len(places) > len(rows) or place in rows)
        return [place for place in places if place in fitting]

    def _all(self, places: Sequence[str]) -> bool:
        """Whether these are all that machines hold, or all besides that others claim: such lists go by name, and what was found by
        words may not."""
        view = self._registry.view
        return places is view.order() or len(places) > len(view.rows())

    def _fitting(self, name: str, value: Any, used: frozenset[str]) -> AbstractSet[str]:
        """Models with a value; of a flag those of which it is true."""
        traits = self._traits
        match name:
            case "type":
                return traits.types.get(value, frozenset())
            case "base":
                return traits.bases.get(value, frozenset())
            case "tag":
                return traits.tags.get(value, frozenset())
            case "duplicates":
                return traits.twins
            case "unused":
                return self._registry.view.rows().keys() - used - self._lately()
            case "updates":
                return traits.outdated
            case "conflicting":
                return traits.conflicting
            case _:
                return traits.verified

    def _lately(self) -> set[str]:
        """Models that a job needed not long ago, by whatever it called them."""
        view, late = self._registry.view, self._clock() - IDLE
        return {
            place
            for word in view.usage.since(late)
            for place in self._meant(word)
            if (row := view.rows().get(place)) and (view.usage.anywhere(row.folder, row.name, row.hashes) or 0) >= late
        }

    def _meant(self, word: str) -> Iterable[str]:
        """Models that may be called so."""
        catalogue, (kind, _, text) = self._registry.view.catalogue, word.partition(":")
        if kind == "h":
            return catalogue.hashed(text)
        return catalogue.called(text.rpartition("/")[2])

    async def narrowed(self, places: Sequence[str], asked: Asked) -> Sequence[str]:
        """All filters at once."""
        return await self.chosen(places, asked)

    async def facets(self, _: Asked) -> shapes.Facets:
        """How many models there are of each base, tag and type, and below each directory."""
        await kept(self._registry.store.refresh())
        traits = self._traits
        await traits.current()
        if self._facets is None or self._facets[0] != traits.version:
            self._facets = traits.version, self._counted()
        return self._facets[1]

    def _counted(self) -> shapes.Facets:
        traits = self._traits
        return shapes.Facets(
            bases=_most(_counts(traits.bases)),
            tags=_most(_counts(traits.tags)),
            types=_most(_counts(traits.types)),
            folders=tuple(sorted(_most(traits.folders), key=lambda each: each.value)),
        )


def _counts(index: Mapping[str, AbstractSet[str]]) -> Counter[str]:
    return Counter({value: len(places) for value, places in index.items() if value})


def _most(counts: Counter[str]) -> tuple[shapes.Facet, ...]:
    return tuple(shapes.Facet(value=value, models=models) for value, models in counts.most_common(MOST))
