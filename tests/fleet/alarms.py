"""A fleet without a server whose rules are held against it look by look, and whose clocks the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from model_manager.facts.event import Entry, Envelope
from model_manager.facts.machine import Disk
from model_manager.facts.notice import Rule, RuleKind
from model_manager.fleet.notices.alerting import Alerting, Outside
from model_manager.fleet.notices.ledger import Kept, Ledger, Noted
from model_manager.fleet.notices.readings import Waits
from model_manager.fleet.telling import place
from model_manager.sources.hooks import new_secret
from tests.bus.telling import Teller
from tests.fleet.made import Now, become, looked, mirror, view

BEGUN = 1_700_000_000.0


class Scene:
    def __init__(self, directory: Path) -> None:
        self.now = Now()
        self.view = view(self.now)
        self.view.exact = True
        self.directory = directory
        self.ledger = self.opened()
        self.stream: list[tuple[str, Envelope]] = []
        self.waits: Waits = {}
        self.told = 0
        self._seq = 0
        self._deadline = 0.0
        self.alerting = self.another()

    def opened(self) -> Ledger:
        return Ledger(self.directory / "notices.sqlite", self.wall)

    def wall(self) -> float:
        return BEGUN + self.now()

    def another(self, ledger: Ledger | None = None) -> Alerting:
        """One more aggregator that shares the ledger, or one that was started anew."""
        return Alerting(self.view, ledger or self.ledger, Outside(recall=self._recall, latest=self._latest, waits=self._queue), self._ring, self.now)  # fmt: skip

    def _ring(self) -> None:
        self.told += 1

    async def _recall(self, after: str, count: int) -> list[Any]:
        return [each for each in self.stream if place(each[0]) > place(after)][:count]

    async def _latest(self, count: int) -> list[Any]:
        return self.stream[-count:]

    async def _queue(self) -> Waits:
        return self.waits

    def hold(self, machine_id: str, *entries: Entry) -> None:
        """A machine holds these and nothing else now."""
        self._seq += 1
        become(self.view, mirror(*entries, machine_id=machine_id, seq=self._seq))

    def beat(self, *machines: str, disks: tuple[Disk, ...] = ()) -> None:
        """These have just been heard; all others' leases are over."""
        self._deadline += 1
        self.view.heard(looked(*(Teller(each).beat(disks=disks) for each in machines), deadline=self._deadline))

    def tell(self, *told: Envelope) -> None:
        self.stream += [(f"{len(self.stream) + n}-0", each) for n, each in enumerate(told, 1)]

    async def rule(self, kind: RuleKind, **more: Any) -> Kept:
        fields = {"gather": 0.0, "cooldown": 0.0, **more}
        identity = f"{len(await self.ledger.rules()):012x}"
        return await self.ledger.add(Rule(id=identity, name=f"the {kind}", kind=kind, **fields), new_secret())

    async def look(self, seconds: float = 1.0) -> list[Noted]:
        """What is told after so many seconds."""
        before = await self.ledger.before(2**53, 1)
        self.now.seconds += seconds
        await self.alerting.once()
        return await self.ledger.notices(before[-1].id if before else 0, 100)


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[Scene]:
    made = Scene(directory)
    yield made
    await made.ledger.close()


def said(found: list[Noted]) -> list[tuple[str, list[str]]]:
    return [(each.edge, [subject["key"] for subject in each.body["subjects"]]) for each in found]
