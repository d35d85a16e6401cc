"""Lists of models, as every route that has one makes them: words, filters, order."""

from __future__ import annotations

from functools import partial

from model_manager.fleet.models.filtering import Filters
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.sorting import Chosen, Sorting
from model_manager.fleet.models.traits import Traits
from model_manager.serving.asking import Asked


class Listing:
    def __init__(self, finding: Finding, filters: Filters, sorting: Sorting, traits: Traits) -> None:
        self._finding = finding
        self._filters = filters
        self._sorting = sorting
        self._traits = traits

    async def chosen(self, asked: Asked, *, best: bool = False) -> Chosen:
        """All that fit, as of now: make what is shown of them before anybody else has a turn. `best` ones first where nobody asks for
        an order. Raises Answer 400, 409."""
        await self._sorting.prepared(asked)
        given = await self._filters.given(asked)
        if given.values or asked["sort"] is not None:
            await self._traits.current()
        else:
            self._traits.take_up()
        best, q, narrow = best and asked["sort"] is None, asked["q"] or "", (asked["folder"], asked["single"])
        found = self._filters.sifted(self._finding.places(q, *narrow, best=best), given)
        if q.strip() or narrow != (None, None):
            return self._sorting.ordered(found, asked)
        return self._sorting.ordered(found, asked, given.key, partial(self._filters.fits, given))
