"""Which models somebody wants to see: the filters that every list of models takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress, product
from typing import Any, Final

from model_manager.errors import StoreUnavailable
from model_manager.fleet.models.finding import below
from model_manager.fleet.models.kept import Kept
from model_manager.fleet.models.traits import Trait, Traits
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

FLAGS: Final = ("duplicates", "updates", "conflicting", "verified")

WARM: Final = 48
"""Types and base models whose lists are there before somebody asks."""

FEWER: Final = 8
"""So many times fewer models are put into order sooner than all are looked through."""

MOST: Final = 500
"""Values of one facet."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for, and what it takes to tell. `used`: places that a workflow needs; `late`: who was needed by a job since
    then is used, seconds since 1970."""

    values: Mapping[str, Any]
    used: frozenset[str] = frozenset()
    late: float = 0.0

    @property
    def key(self) -> Hashable:
        return (*sorted(self.values.items()), self.used, self.late) if self.values else ()


NOTHING: Final = Given({})


class Filters:
    """`clock` is Unix seconds."""

    def __init__(self, registry: Registry, uses: Uses, traits: Traits, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._uses = uses
        self._traits = traits
        self._clock = clock
        self._facets: tuple[int, shapes.Facets] | None = None
        self._kept: Kept[Trait | None] = Kept(traits.journal, traits.of)

    async def keep_up(self) -> None:
        """What people ask for most, so that who asks first does not wait until it is found. After all that is known was taken up."""
        traits = self._traits
        common = [("type", value) for value in traits.types] + [("base", value) for value in traits.bases if value]
        for name, value in (*common[:WARM], *product(FLAGS, (True, False))):
            await traits.current()
            self.sifted(self._registry.view.order(), Given({name: value}))
            await asyncio.sleep(0)

    async def chosen(self, places: Sequence[str], asked: Asked, names: Iterable[str] = NAMES) -> Sequence[str]:
        """Those of the places that fit. Raises Answer 409 while nobody can tell what is used."""
        return self.sifted(places, await self.given(asked, names))

    async def given(self, asked: Asked, names: Iterable[str] = NAMES) -> Given:
        """What `sifted` takes, and all that is known brought up to date: sift before anybody else has a turn. Raises Answer 409 while
        nobody can tell what is used."""
        values = {name: asked[name] for name in names if asked.get(name) is not None}
        with suppress(StoreUnavailable):  # what people told is missing then, and all that machines tell is there
            await self._registry.store.refresh()
        if not values:
            return NOTHING
        used = await self._uses.places() if "unused" in values else None
        await self._traits.current()
        if used is None:
            return Given(values)
        if used.unknown:
            detail = f"What is used cannot be told: {used.unknown}. Ask again later, or without this filter."
            raise Answer(409, "uses-unknown", detail)
        return Given(values, used.places, self._clock() // HOUR * HOUR - IDLE)

    def sifted(self, places: Sequence[str], given: Given) -> Sequence[str]:
        """Those of them that fit, in their order. What few models fit is looked at first. Do not change it, and be done with it before
        anybody else has a turn."""
        if not given.values:
            return places
        if places is not self._registry.view.order():
            return self._of(places, given)
        found = self._kept.get(given.key)
        if found is None:
            found = self._kept.put(given.key, list(self._of_all(places, given)), partial(self.fits, given))
        return found

    def _of_all(self, places: Sequence[str], given: Given) -> Sequence[str]:
        """Of everything, the list of the rarest value alone may be known already."""
        if len(given.values) > 1:
            rarest = min(given.values, key=lambda name: self._many(places, name, given))
            rest = {name: value for name, value in given.values.items() if name != rarest}
            alone = replace(given, values={rarest: given.values[rarest]})
            return self._of(self.sifted(places, alone), replace(given, values=rest))
        return self._of(places, given)

    def _many(self, places: Sequence[str], name: str, given: Given) -> int:
        value = given.values[name]
        if name == "under":
            return len(self._below(places, value))
        return len(places) if value is False or name == "unused" else len(self._fitting(name, value, given))

    def _of(self, places: Sequence[str], given: Given) -> Sequence[str]:
        wanted, unwanted = list[AbstractSet[str]](), list[AbstractSet[str]]()
        for name, value in given.values.items():
            if name != "under":
                (unwanted if value is False else wanted).append(self._fitting(name, value, given))
        found = self._below(places, given.values["under"]) if "under" in given.values else places
        for each in sorted(wanted, key=len):
            found = self._among(found, each)
        for each in unwanted:
            found = [place for place in found if place not in each]
        return found

    def fits(self, given: Given, place: str) -> bool:
        """Whether a machine of ours holds it, and it fits."""
        if not self._traits.held(place):
            return False
        for name, value in given.values.items():
            if name == "under":
                if not place.startswith(_directory(value)):
                    return False
            elif (value is False) is self._is(name, value, place, given):
                return False
        return True

    def _is(self, name: str, value: Any, place: str, given: Given) -> bool:
        if name != "unused":
            return place in self._fitting(name, value, given)
        trait = self._traits.of(place)
        return place not in given.used and (trait is None or trait.used is None or trait.used < given.late)

    def _below(self, places: Sequence[str], directory: str) -> Sequence[str]:
        begin = _directory(directory)
        return below(places, begin) if self._all(places) else [place for place in places if place.startswith(begin)]

    def _among(self, places: Sequence[str], fitting: AbstractSet[str]) -> Sequence[str]:
        """In their order; of all places, which are in order, those that fit are put into it when they are few."""
        if self._all(places) and FEWER * len(fitting) < len(places):
            rows = self._registry.view.rows()
            return sorted(place for place in fitting if len(places) > len(rows) or place in rows)
        return list(compress(places, map(fitting.__contains__, places)))

    def _all(self, places: Sequence[str]) -> bool:
        """Whether these are all that machines hold, or all besides that others claim: such lists go by name, and what was found by
        words may not."""
        view = self._registry.view
        return places is view.order() or len(places) > len(view.rows())

    def _fitting(self, name: str, value: Any, given: Given) -> AbstractSet[str]:
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
                lately = {place for place, used in traits.used.items() if used >= given.late}
                return self._registry.view.rows().keys() - given.used - lately
            case "updates":
                return traits.outdated
            case "conflicting":
                return traits.conflicting
            case _:
                return traits.verified

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


def _directory(under: str) -> str:
    return under.rstrip("/") + "/"


def _counts(index: Mapping[str, AbstractSet[str]]) -> Counter[str]:
    return Counter({value: len(places) for value, places in index.items() if value})


def _most(counts: Counter[str]) -> tuple[shapes.Facet, ...]:
    return tuple(shapes.Facet(value=value, models=models) for value, models in counts.most_common(MOST))
