"""Everything about models that needs more than the view, put together: filters, pictures, scans, removals, StableQueue's routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_manager.fleet.collecting import undisturbed
from model_manager.fleet.matrix.shapes import FoundRow
from model_manager.fleet.models import routes
from model_manager.fleet.models.checking import Checking, Publishing
from model_manager.fleet.models.doctoring import Doctoring, Opened
from model_manager.fleet.models.enquiring import Enquiring, Put
from model_manager.fleet.models.fetching import Fetching
from model_manager.fleet.models.filtering import Filters
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.knowing import Knowing
from model_manager.fleet.models.listing import Listing
from model_manager.fleet.models.lore import Gathering, Lore
from model_manager.fleet.models.offering import Offering
from model_manager.fleet.models.previewing import Pictures
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.models.reporting import Reporting
from model_manager.fleet.models.sorting import Sorting
from model_manager.fleet.models.traits import Traits
from model_manager.fleet.models.updating import Updating
from model_manager.fleet.models.uses import Uses
from model_manager.fleet.needs import Demand, Describe
from model_manager.fleet.ordering import Ordering
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.stablequeue import detail_routes as stablequeue_detail_routes
from model_manager.fleet.stablequeue import order_routes as stablequeue_order_routes
from model_manager.fleet.stablequeue import routes as stablequeue_routes
from model_manager.fleet.stablequeue.details import Details
from model_manager.fleet.stablequeue.models import Models, Records
from model_manager.fleet.stablequeue.removals import Removals
from model_manager.fleet.stablequeue.scans import Scans
from model_manager.fleet.stablequeue.taking import Taking
from model_manager.fleet.store import Store
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View
from model_manager.serving.answering import Handler

PIECE: Final = 100
"""Models that are counted again before others have their turn: some 1 ms."""

EVERY: Final = 0.2
"""Seconds between two looks at what changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What the program hands in. `most` bytes of a database that is taken in; `hours` between two checks for newer versions that
    nobody asked for, 0 for none; `check` raises BadUrl for an address that no machine fetches from; `doctor` is that of the `catalog` at an
    address, None without one."""

    store: Store
    releases: Releases
    publishing: Publishing
    hours: float
    describe: Describe | None
    check: Callable[[str], object]
    doctor: Opened | None
    catalog: str
    records: Records
    put: Put
    demand: Demand
    most: int


class Library:
    """`gathering` is its loop; `scans` hears every event."""

    def __init__(self, view: View, finding: Finding, ordering: Ordering, needed: Needed) -> None:
        lore, enquiring = Lore(), Enquiring(view, needed.put)
        uses = Uses(view, needed.demand, time.monotonic)
        self.registry = Registry(view, finding, needed.store, lore)
        self.traits = Traits(self.registry, needed.releases)
        updating = Updating(self.registry, needed.releases, self.traits)
        self._finding = finding
        self.filters = Filters(self.registry, uses, self.traits, time.time)
        self._sorting = Sorting(view, self.traits)
        self.listing = Listing(finding, self.filters, self._sorting, self.traits)
        self.checking = Checking(self.registry, needed.releases, needed.publishing, needed.hours)
        self.scans = Scans(view, ordering)
        self.gathering = Gathering(lore, view, enquiring, time.monotonic)
        self.taking = Taking(self.registry, needed.most)
        self._pictures = Pictures(self.registry, enquiring, time.monotonic)
        self._models = Models(
            self.registry, ordering, needed.records, self.filters, self._pictures, begun=self.scans.begin
        )
        knowing = Knowing(self.registry, enquiring, uses, self._pictures, updating)
        self._details = Details(self.registry, self._models, enquiring, self._pictures, knowing)
        self._removals = Removals(self.registry, enquiring, ordering)
        self._reporting = Reporting(self.registry, self.checking, updating)
        self._offering = Offering(self.registry, enquiring, needed.describe, updating)
        self._fetching = Fetching(view, self._offering, enquiring, needed.check)
        self._doctoring = Doctoring(needed.doctor, needed.catalog)

    async def keep_up(self) -> None:
        """Until cancelled: so that who asks first after a change does not wait for what it takes to know it."""
        view, first = self.registry.view, True
        while True:
            if view.exact and first:
                with undisturbed():
                    await self._catch_up()
                first = False
            elif view.exact:
                await self._catch_up()
            await asyncio.sleep(EVERY)

    async def _catch_up(self) -> None:
        view = self.registry.view
        for _ in range(0, view.catalogue.waiting, PIECE):
            view.count_some(PIECE)
            await asyncio.sleep(0)
        await self.traits.current()
        await self._finding.tidy()
        for single in (True, False):
            self._finding.places(single=single)
            await asyncio.sleep(0)
        await self.filters.keep_up()
        await self._sorting.keep_up()

    async def refresh(self) -> None:
        """Learn what was told meanwhile. Raises StoreUnavailable; what machines tell is known then, too."""
        try:
            await self.registry.store.refresh()
        finally:
            await self.traits.current()

    @property
    def state(self) -> object:
        """Another one after each change of what is held, told, or published elsewhere, as of the last refresh."""
        return self.registry.state, self.traits.version

    def handlers(self, telling: Telling) -> dict[str, Handler]:
        """By the names of the routes."""
        found = stablequeue_routes.handlers(self._models) | stablequeue_detail_routes.handlers(
            self._details, self.filters
        )
        found |= routes.handlers(self._reporting, self._offering, self._fetching, self._doctoring, telling)
        return found | stablequeue_order_routes.handlers(self.scans, self._removals, self.taking, telling)

    def told(self, row: ModelRow) -> ModelRow:
        """A row with what people and machines told of it."""
        number, trait = number_of(row.model), self.traits.now(row.model)
        return FoundRow(
            model=row.model,
            folder=row.folder,
            name=row.name,
            machines=row.machines,
            copies=row.copies,
            verified=row.verified,
            size=row.size,
            bytes=row.bytes,
            hashes=row.hashes,
            last_used=trait.used if trait else None,
            added=trait.added if trait else None,
            id=number,
            type=trait.type if trait else self.registry.type(row.model),
            base=trait.base if trait else "",
            tags=trait.tags if trait else (),
            preview=f"/api/v1/models/{number}/preview",
            has_preview=self._pictures.known(row.model),
            updates=row.model in self.traits.outdated,
        )
