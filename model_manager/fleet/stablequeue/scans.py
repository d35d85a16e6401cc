"""The scan that was asked for last: how far each machine is, and the counters of StableQueue's scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from model_manager.facts.event import Entry, Envelope, ModelAppeared, ModelChanged, OrderAnswered
from model_manager.fleet.ordering import ANSWERED, Ordering
from model_manager.fleet.progressing import progress
from model_manager.fleet.stablequeue import answers, shapes
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked

ENDED: Final = ("done", "refused", "dropped")

COUNTED: Final = frozenset({"model.appeared", "model.changed"})
"""Kinds whose models are counted while machines scan."""


@dataclass(slots=True)
class _Machine:
    """What it told since it began: paths of files that came, that were read whole, and that changed otherwise. `begun` is ISO
    8601 UTC, by its own clock."""

    begun: str = ""
    state: str = "waiting"
    why: str = ""
    added: set[str] = field(default_factory=set)
    hashed: set[str] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)


class Scans:
    """Of this aggregator: others count for themselves. A scan that somebody else asked for counts from when it is heard of."""

    def __init__(self, view: View, ordering: Ordering) -> None:
        self._view = view
        self._ordering = ordering
        self._order = ""
        self._stopping = False
        self._machines: dict[str, _Machine] = {}

    def begin(self, order: str, machines: Iterable[str]) -> None:
        if order != self._order:
            self._order, self._stopping, self._machines = order, False, {}
        for machine_id in machines:
            self._machines.setdefault(machine_id, _Machine())

    def concerns(self, kinds: AbstractSet[str]) -> bool:
        """Whether events of these kinds may count."""
        return ANSWERED in kinds or (bool(self._machines) and not COUNTED.isdisjoint(kinds))

    def hear(self, told: Iterable[tuple[str, Envelope]]) -> None:
        """Everything that machines tell; the answers to the scan, and what changes meanwhile, count."""
        for _, envelope in told:
            counts = envelope.kind in COUNTED and envelope.machine_id in self._machines
            if not counts and envelope.kind != ANSWERED:
                continue
            match envelope.event:
                case OrderAnswered() as answer if answer.what == "scan":
                    self._answered(envelope, answer)
                case ModelAppeared() as event:
                    self._came(envelope, event.models, new=True)
                case ModelChanged() as event:
                    self._came(envelope, event.models, new=False)
                case _:
                    continue

    def _answered(self, envelope: Envelope, answer: OrderAnswered) -> None:
        if answer.order != self._order and answer.state == "begun":
            self.begin(answer.order, ())
        if answer.order == self._order:
            machine = self._machines.setdefault(envelope.machine_id, _Machine())
            machine.state, machine.why = answer.state, answer.why
            machine.begun = machine.begun or envelope.at

    def _came(self, envelope: Envelope, entries: Iterable[Entry], *, new: bool) -> None:
        machine = self._machines.get(envelope.machine_id)
        if machine is None or not machine.begun:
            return
        for entry in entries:
            if new:
                machine.added.add(entry.path)
            if entry.hash and entry.last_verified >= machine.begun:
                machine.hashed.add(entry.path)
            elif not new:
                machine.updated.add(entry.path)

    async def state(self, _: Asked) -> answers.StableQueueScanState:
        """As of now."""
        told = self._ordering.answers(self._order)
        for machine_id, (state, why) in told.items():
            if (machine := self._machines.get(machine_id)) and machine.state not in ENDED:
                machine.state, machine.why = state, why
        machines = sorted(self._machines.items())
        total, waiting = self._counted()
        hashed = sum(len(each.hashed) for _, each in machines)
        stats = answers.StableQueueScanStats(
            total=total,
            added=sum(len(each.added) for _, each in machines),
            updated=sum(len(each.updated - each.added) for _, each in machines),
            hashesCalculated=hashed,
            hashesSkipped=max(0, total - waiting - hashed),
            errors=sum(each.state in ("refused", "dropped") and each.why != STOPPED for _, each in machines),
        )
        state = self._phase(waiting)
        return answers.StableQueueScanState(
            success=True,
            state=state,
            order=self._order or None,
            stats=stats,
            hashesWaiting=waiting,
            machines=tuple(
                answers.StableQueueScanning(machine_id=name, state=m.state, why=m.why) for name, m in machines
            ),
            begun=min((each.begun for _, each in machines if each.begun), default=""),
            message=SAID[state],
        )

    def _phase(self, waiting: int) -> Any:
        states = [each.state for each in self._machines.values()]
        if not self._order:
            return "idle"
        if any(state not in ENDED for state in states):
            return "stopping" if self._stopping else "running"
        if self._stopping:
            return "stopped"
        return "hashing" if waiting else "done"

    def _counted(self) -> tuple[int, int]:
        """Files of the machines that scan, and those of them that nobody has read whole."""
        total = waiting = 0
        for machine_id in self._machines:
            mirror = self._view.mirror(machine_id)
            if mirror is not None:
                total += len(mirror.entries)
                waiting += sum(not copy.hash for copy in mirror.entries.values())
        return total, waiting

    async def stop(self, _: Asked, __: Mapping[str, Any]) -> shapes.StableQueueDone:
        """What the machines have found by now stays found."""
        running = [name for name, each in self._machines.items() if each.state not in ENDED]
        if not running:
            return shapes.StableQueueDone(success=True, message="No scan runs.")
        self._stopping = True
        await self._ordering.tell("stop", running)
        return shapes.StableQueueDone(success=True, message=f"{len(running)} machines were asked to stop.")

    async def progress(self, request: web.Request, telling: Telling) -> web.StreamResponse:
        """Server-sent events, while somebody listens: `scan_progress`, and `scan_complete` when it is over."""
        return await progress(request, telling, lambda: self.state({}), _kind)


def _kind(scan: answers.StableQueueScanState) -> str:
    return "scan_complete" if scan.state in ("done", "stopped", "idle") else "scan_progress"


STOPPED: Final = "it was stopped"
"""How a machine says that a scan was ended because somebody asked for it (agent/orders/obeying.py)."""

SAID: Final = {
    "idle": "No scan was asked for yet.",
    "running": "Machines compare their directories with their indexes.",
    "stopping": "Machines were asked to stop.",
    "stopped": "The scan was stopped; what it had found stays found.",
    "hashing": "Every directory was looked at; files that nobody had read are being read.",
    "done": "Every directory was looked at, and every file has its hash.",
}
