"""The loop that holds the rules against the fleet. One aggregator of those that share a ledger leads, and only that one does it.

What was looked at, and what was told, is written in one step: killed at any moment, the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from loguru import logger

from model_manager.decisions.alerting import due, failing, shelved, standing, worded
from model_manager.errors import BusUnavailable, ModelManagerError, StoreUnavailable
from model_manager.facts.event import Envelope
from model_manager.facts.notice import MODELS, Edge, Failing, Subject, Turn
from model_manager.fleet.history import START, Latest, Recall
from model_manager.fleet.notices import readings
from model_manager.fleet.notices.ledger import LEASE, Kept, Ledger, Said
from model_manager.fleet.notices.readings import Held, Silence, Waits
from model_manager.fleet.telling import place
from model_manager.fleet.view import View

TICK: Final = 1.0
"""Seconds between two looks."""

QUEUE: Final = 10.0
"""Seconds between two looks at the queue of jobs."""

SAVED: Final = 10.0
"""Seconds between two notes of who is silent how long: so much of it may be lost with the process."""

PAGE: Final = 1_000
MOST_FAILING: Final = 10_000
"""Downloads that are remembered as failing, the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What is asked of Redis. Each raises BusUnavailable."""

    recall: Recall
    latest: Latest
    waits: Callable[[], Awaitable[Waits]]


class Memory:
    """What the leader knows besides the view. Another leader reads it from the ledger."""

    def __init__(self, stream: Mapping[str, Any], silence: Mapping[str, float]) -> None:
        self.cursor: str = stream.get("cursor", "")
        self.failing = {key: Failing(**fields) for key, fields in stream.get("failing", {}).items()}
        self.left: set[str] = set(stream.get("left", ()))
        self.silence = Silence(silence)
        self.known: dict[str, tuple[int, dict[str, bool]]] = {}
        self.since: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.waits: Waits = {}
        self.queued = self.saved = self.ticked = float("-inf")

    def stream(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor,
            "failing": {key: asdict(each) for key, each in self.failing.items()},
            "left": sorted(self.left),
        }

    def forget(self, rules: list[Kept]) -> None:
        """What was known of rules that are gone."""
        here = {kept.rule.id for kept in rules}
        for known in (self.known, self.since, self.counts):
            for rule in known.keys() - here:
                known.pop(rule, None)


class Alerting:
    """`leads`: whether this process does it. `told` is called after something was told."""

    def __init__(
        self,
        view: View,
        ledger: Ledger,
        outside: Outside,
        told: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._view = view
        self._ledger = ledger
        self._outside = outside
        self._told = told
        self._who = secrets.token_hex(8)
        self._held = Held(view)
        self._memory: Memory | None = None
        self._led = float("-inf")
        self._troubled = ""
        self.leads = False

    async def run(self) -> None:
        """Until cancelled; then another one may lead at once."""
        try:
            while True:
                await self._safely()
                await asyncio.sleep(TICK)
        finally:
            if self.leads:
                await asyncio.shield(self._resign())

    async def _safely(self) -> None:
        try:
            await self.once()
            self._troubled = ""
        except ModelManagerError as error:
            self._memory = self._memory if isinstance(error, BusUnavailable) else None
            self._say(str(error))

    def _say(self, why: str) -> None:
        if why != self._troubled:
            self._troubled = why
            logger.bind(reason=why).warning("notifications are held up")

    async def _resign(self) -> None:
        try:
            await self._ledger.resign(self._who)
        except StoreUnavailable as error:
            self._say(str(error))

    async def once(self) -> None:
        """One look. Raises StoreUnavailable, BusUnavailable."""
        if not await self._leading():
            self._memory = None
            return
        if self._view.away is not None or not self._view.exact:
            if self._memory is not None:
                self._memory.ticked = float("-inf")
            return
        rules = await self._ledger.rules()
        memory = self._memory or await self._remembered(rules)
        self._memory = memory
        await self._follow(memory)
        await self._listen(memory)
        if any(kept.rule.kind == "job.waiting" for kept in rules):
            await self._queue(memory)
        memory.forget(rules)
        self._held.forget(kept.rule for kept in rules)
        for kept in rules:
            if kept.rule.enabled:
                await self._hold(memory, kept)

    async def _leading(self) -> bool:
        if self._monotonic() - self._led > LEASE / 4:
            self.leads = False
            self.leads = await self._ledger.lead(self._who)
            self._led = self._monotonic() if self.leads else float("-inf")
        return self.leads

    async def _remembered(self, rules: list[Kept]) -> Memory:
        memory = Memory(await self._ledger.note("stream", {}), await self._ledger.note("silence", {}))
        if not memory.cursor:
            latest = await self._outside.latest(1)
            memory.cursor = latest[-1][0] if latest else START
            await self._ledger.put_note("stream", memory.stream())
        elif memory.cursor != START and not await self._is_there(memory.cursor):
            lacking = memory.failing.items()
            memory.failing = {k: each for k, each in lacking if each.machine_id not in self._view.who_has(each.model)}
            for kept in rules:
                if kept.rule.kind == "download.failed" and kept.rule.enabled:
                    await self._ledger.tell(_said(kept, "gap", ()))
            self._told()
        return memory

    async def _is_there(self, cursor: str) -> bool:
        """Whether the entry that was looked at last is still kept; if not, later ones may have been trimmed with it."""
        ms, number = place(cursor)
        before = f"{ms}-{number - 1}" if number else f"{ms - 1}-{2**64 - 1}"
        page = await self._outside.recall(before, 1)
        return bool(page) and page[0][0] == cursor

    async def _follow(self, memory: Memory) -> None:
        """The stream from where it was looked at last."""
        while page := await self._outside.recall(memory.cursor, PAGE):
            told = [each for _, each in page if isinstance(each, Envelope)]
            found = failing(memory.failing, told)
            memory.failing = dict(list(found.items())[-MOST_FAILING:])
            for each in told:
                (memory.left.add if each.kind == "machine.bye" else memory.left.discard)(each.machine_id)
            memory.cursor = page[-1][0]
            await self._ledger.put_note("stream", memory.stream())
            if len(page) < PAGE:
                return

    async def _listen(self, memory: Memory) -> None:
        now = self._monotonic()
        passed = now - memory.ticked if memory.ticked > 0 else 0.0
        memory.ticked = now
        memory.silence.passed(self._view, min(passed, 10 * TICK), memory.left)
        if now - memory.saved > SAVED:
            memory.saved = now
            await self._ledger.put_note("silence", memory.silence.seconds)

    async def _queue(self, memory: Memory) -> None:
        if self._monotonic() - memory.queued > QUEUE:
            memory.queued = self._monotonic()
            memory.waits = await self._outside.waits()

    async def _hold(self, memory: Memory, kept: Kept) -> None:
        """One rule against the fleet, and what is told of it."""
        rule = kept.rule
        version, known = memory.known.get(rule.id, (-1, {}))
        if version != kept.version:
            known = await self._ledger.known(rule.id)
            memory.known[rule.id] = (kept.version, known)
            memory.counts.pop(rule.id, None)
        turn = self._turn(memory, kept, known)
        if turn is None:
            return
        if not turn.telling:
            memory.since.pop(rule.id, None)
            said: list[Said] = []
        else:
            since = memory.since.setdefault(rule.id, self._ledger.now())
            if not due(rule, since=since, told=kept.told_at, now=self._ledger.now()):
                return
            said = [_said(kept, "begin", turn.began)] if turn.began else []
            said += [_said(kept, "end", turn.ended)] if turn.ended else []
        if (turn.kept or said or not kept.based) and await self._ledger.took(self._who, kept, turn, said):
            _remember(known, turn)
            memory.since.pop(rule.id, None)
        if said:
            self._told()

    def _turn(self, memory: Memory, kept: Kept, known: dict[str, bool]) -> Turn | None:
        """None when nothing can have changed since the last look."""
        rule = kept.rule
        if rule.kind in MODELS:
            self._view.rows()
            counts = self._view.catalogue.counts
            if memory.counts.get(rule.id) == counts and rule.id not in memory.since and kept.based:
                return None
            memory.counts[rule.id] = counts
            return shelved(rule, known, self._held.fitting(rule), based=kept.based)
        match rule.kind:
            case "download.failed":
                reading = readings.failed(rule, memory.failing, known)
            case "disk.low":
                reading = readings.disks(rule, self._view, known)
            case "machine.silent":
                reading = readings.silent(rule, memory.silence)
            case _:
                reading = readings.waiting(rule, memory.waits, self._ledger.now())
        return standing(rule, known, reading)


def _said(kept: Kept, edge: Edge, subjects: tuple[Subject, ...]) -> Said:
    text = worded(kept.rule, edge, subjects)
    return Said(rule=kept.rule, edge=edge, text=text, count=len(subjects), subjects=subjects)


def sample(kept: Kept) -> Said:
    """A notice that says that it is none, whether the rule is in force or not."""
    return _said(replace(kept, rule=replace(kept.rule, enabled=True)), "test", ())


def _remember(known: dict[str, bool], turn: Turn) -> None:
    for key, here in turn.kept.items():
        if here is None:
            known.pop(key, None)
        else:
            known[key] = here
