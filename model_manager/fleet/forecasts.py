"""The questions for which the catalog is asked too: who can run a workflow, and what is missing where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from model_manager.decisions.forecasting import Slot, takes
from model_manager.facts.fleet import Needed, Takes
from model_manager.facts.machine import WorkflowReadiness
from model_manager.facts.mirror import Copy
from model_manager.fleet import shapes
from model_manager.fleet.needs import Demand, Needs
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.paging import page
from model_manager.serving.problems import no_such

SHA256: Final = 64
"""Hex digits of a full digest."""

MOST_WORKFLOWS: Final = 100
"""Workflows of one answer that the catalog is asked about."""


class Forecasts:
    def __init__(self, view: View, demand: Demand) -> None:
        self._view = view
        self._demand = demand

    async def who_can(self, asked: Asked) -> shapes.Candidates:
        """Raises Answer 404 for a workflow that neither the catalog nor any machine knows."""
        workflow = asked["workflow"]
        needs = await self._demand.of(workflow)
        if needs.missing and not self._served(workflow):
            raise no_such("workflow", workflow, "Check the name, or add it to the catalog. GET /workflows lists some.")
        found = {order_of(each): each for each in self._candidates(workflow, needs)}
        shown = page(sorted(found), asked["cursor"], asked["limit"], found.__getitem__)
        return shapes.Candidates(
            workflow=workflow,
            unknown=needs.unknown,
            needs=tuple(map(needed_row, needs.models)),
            ready=sum(each.ready for each in found.values()),
            items=shown.items,
            next=shown.next,
            total=shown.total,
        )

    async def missing(self, asked: Asked) -> shapes.Lacks:
        """Workflows that machines were told to serve and are not ready for."""
        lacking = {
            f"{machine_id}\0{flow.name}": (machine_id, flow)
            for machine_id in self._machines()
            for flow in self._view.workflows(machine_id)
            if not flow.ready and asked["machine_id"] in (None, machine_id) and asked["workflow"] in (None, flow.name)
        }
        keys = page(sorted(lacking), asked["cursor"], asked["limit"], str)
        names = dict.fromkeys(lacking[key][1].name for key in keys.items)
        needs = {name: await self._demand.of(name) for name in list(names)[:MOST_WORKFLOWS]}
        many = Needs(unknown="too many workflows in one answer; ask with a smaller limit")
        stock = Stock(self._view, [each for need in needs.values() for each in need.models])
        items = tuple(self._lack(*lacking[key], needs.get(lacking[key][1].name, many), stock) for key in keys.items)
        return shapes.Lacks(items=items, next=keys.next, total=keys.total)

    def _lack(self, machine_id: str, flow: WorkflowReadiness, needs: Needs, stock: Stock) -> shapes.Lack:
        taken = stock.takes(needs.models, machine_id)
        return shapes.Lack(
            machine_id=machine_id,
            state=self._view.state(machine_id),
            workflow=flow.name,
            reasons=flow.reasons,
            unknown=needs.unknown,
            missing=taken.missing,
            bytes=taken.bytes,
        )

    def _machines(self) -> list[str]:
        """Those that may come to serve: who is away can not."""
        return [machine_id for machine_id in self._view.ids if self._view.state(machine_id) != "away"]

    def _served(self, workflow: str) -> bool:
        return any(flow.name == workflow for each in self._view.ids for flow in self._view.workflows(each))

    def _candidates(self, workflow: str, needs: Needs) -> list[shapes.Candidate]:
        stock = Stock(self._view, needs.models)
        return [self._candidate(machine_id, workflow, needs, stock) for machine_id in self._machines()]

    def _candidate(self, machine_id: str, workflow: str, needs: Needs, stock: Stock) -> shapes.Candidate:
        flow = next((each for each in self._view.workflows(machine_id) if each.name == workflow), None)
        state, taken = self._view.state(machine_id), stock.takes(needs.models, machine_id)
        return shapes.Candidate(
            machine_id=machine_id,
            state=state,
            assigned=flow is not None,
            ready=flow is not None and flow.ready and state == "live",
            reasons=flow.reasons if flow else (),
            has_all=None if needs.unknown else taken.nothing,
            missing=taken.missing,
            bytes=taken.bytes,
            unknown=taken.unknown,
            fits=None if needs.unknown else taken.fits,
        )


class Stock:
    """What the machines have in the places of what is needed, and of its bytes elsewhere; gathered once for all of them."""

    def __init__(self, view: View, needed: Sequence[Needed]) -> None:
        self._view = view
        self._held: dict[str, dict[Slot, list[Copy]]] = {}
        self._digests: dict[str, set[str]] = {}
        view.rows()
        for each in {need.path.slot: need for need in needed}.values():
            self._gather(each)
        for hash_ in {need.pin.hex for need in needed if need.pin is not None and len(need.pin.hex) == SHA256}:
            for machine_id, copies in view.mirrors.who_has(sha256=hash_).items():
                if any(copy.verified for copy in copies):
                    self._digests.setdefault(machine_id, set()).add(hash_)

    def _gather(self, need: Needed) -> None:
        for place in self._view.catalogue.places(need.path):
            for machine_id, copies in self._view.who_has(place).items():
                self._held.setdefault(machine_id, {}).setdefault(need.path.slot, []).extend(copies)

    def takes(self, needed: Sequence[Needed], machine_id: str) -> Takes:
        held: Mapping[Slot, Sequence[Copy]] = self._held.get(machine_id, {})
        return takes(needed, held, self._digests.get(machine_id, ()), self._view.room(machine_id))


def order_of(candidate: shapes.Candidate) -> str:
    """The readiest first: who is ready, then who has all, then whom the least bytes keep from it."""
    rank = 0 if candidate.ready else 1 if candidate.has_all else 2 if candidate.assigned else 3
    return f"{rank}{candidate.bytes:020d}\0{candidate.machine_id}"


def needed_row(need: Needed) -> shapes.NeededModel:
    hash_ = need.pin.hex if need.pin else ""
    return shapes.NeededModel(folder=need.path.folder, name=need.path.name, size=need.size, hash=hash_)
