"""Collections: which machines were told to serve one, who can run all of its workflows, and what it would take elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from model_manager.fleet import shapes
from model_manager.fleet.forecasts import Stock, needed_row, order_of
from model_manager.fleet.needs import Demand, Needs
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.paging import page
from model_manager.serving.problems import no_such


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRow:
    """A collection that `assigned` machines were told to serve; `ready` of them live, and their gate is open."""

    collection: str
    assigned: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collections:
    items: tuple[CollectionRow, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionCandidates:
    """Who can run all `workflows` of a collection, the readiest first; what they need together. `unknown` says why that is
    not known, empty when it is; then machines that were told to serve it speak for themselves."""

    collection: str
    workflows: tuple[str, ...]
    unknown: str
    needs: tuple[shapes.NeededModel, ...]
    ready: int
    items: tuple[shapes.Candidate, ...]
    next: str | None
    total: int


class Sets:
    def __init__(self, view: View, demand: Demand) -> None:
        self._view = view
        self._demand = demand

    async def collections(self, asked: Asked) -> Collections:
        """Those that a machine which is not away was told to serve."""
        counts: dict[str, tuple[int, int]] = {}
        for machine_id in self._machines():
            for name in self._told(machine_id):
                assigned, ready = counts.get(name, (0, 0))
                counts[name] = assigned + 1, ready + self._view.ready(machine_id)
        wanted = asked["q"]
        chosen = sorted(name for name in counts if wanted is None or wanted.lower() in name.lower())
        found = page(chosen, asked["cursor"], asked["limit"], lambda name: _row(name, *counts[name]))
        return Collections(items=found.items, next=found.next, total=found.total)

    async def collection(self, asked: Asked) -> CollectionCandidates:
        """Raises Answer 404 for one that neither the catalog nor any machine knows."""
        name = asked["collection"]
        needs = await self._demand.of_collection(name)
        if needs.missing and not any(name in self._told(each) for each in self._view.ids):
            raise no_such("collection", name, "Check the id, or add it to the catalog. GET /collections lists some.")
        stock = Stock(self._view, needs.models)
        found = {order_of(each): each for each in (self._candidate(m, name, needs, stock) for m in self._machines())}
        shown = page(sorted(found), asked["cursor"], asked["limit"], found.__getitem__)
        return CollectionCandidates(
            collection=name,
            workflows=needs.workflows,
            unknown=needs.unknown,
            needs=tuple(map(needed_row, needs.models)),
            ready=sum(each.ready for each in found.values()),
            items=shown.items,
            next=shown.next,
            total=shown.total,
        )

    def _candidate(self, machine_id: str, name: str, needs: Needs, stock: Stock) -> shapes.Candidate:
        view, taken = self._view, stock.takes(needs.models, machine_id)
        flows = {flow.name: flow for flow in view.workflows(machine_id)}
        told, live = name in self._told(machine_id), view.state(machine_id) == "live"
        serves = bool(needs.workflows) and all(each in flows and flows[each].ready for each in needs.workflows)
        reasons = (why for each in needs.workflows if each in flows for why in flows[each].reasons)
        return shapes.Candidate(
            machine_id=machine_id,
            state=view.state(machine_id),
            assigned=told,
            ready=live and (serves or (told and view.ready(machine_id))),
            reasons=tuple(dict.fromkeys(reasons)),
            has_all=None if needs.unknown else taken.nothing,
            missing=taken.missing,
            bytes=taken.bytes,
            unknown=taken.unknown,
            fits=None if needs.unknown else taken.fits,
        )

    def _machines(self) -> list[str]:
        return [machine_id for machine_id in self._view.ids if self._view.state(machine_id) != "away"]

    def _told(self, machine_id: str) -> tuple[str, ...]:
        """The collections of its last heartbeat."""
        heartbeat = self._view.heartbeat(machine_id)
        return heartbeat.collections if heartbeat else ()


def _row(name: str, assigned: int, ready: int) -> CollectionRow:
    return CollectionRow(collection=name, assigned=assigned, ready=ready)
