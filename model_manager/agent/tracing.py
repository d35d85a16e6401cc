"""The agent's work as spans: an assignment and how it is resolved, each attempt to bring a model, and what is published.

Only where traces are wanted do these classes take the place of those that they extend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from loguru import logger

from model_manager import __version__
from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.transfers.downloading import Arrived, Downloading
from model_manager.agent.transfers.road import Moved, Report, Tell
from model_manager.bus.publishing import Bus, Published
from model_manager.errors import BadSetting
from model_manager.facts.event import Entry, Envelope
from model_manager.facts.flow import Flow
from model_manager.facts.model import Described, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Phase, Transfer
from model_manager.settings import Settings
from model_manager.tracing.otlp import exporting
from model_manager.tracing.spans import Span, Tracer

PARTS: Final = {Phase.VERIFYING: "verify", Phase.PLACING: "place"}
"""Phases that are spans within that of their download."""

SERVICE: Final = "model_manager.agent"

LAST: Final = 0.3
"""Seconds for the last spans: PM2 kills soon."""


def tracer_of(settings: Settings, stack: AsyncExitStack) -> Tracer | None:
    """Closed with the stack; None where nobody wants traces. The variable may be meant for another program of this machine, so that
    what is wrong with it stops nothing."""
    if not settings.otlp_endpoint:
        return None
    try:
        tracer = exporting(settings.otlp_endpoint, SERVICE, __version__)
    except BadSetting as error:
        logger.bind(reason=str(error)).warning("no traces are sent")
        return None
    stack.callback(tracer.close, LAST)
    return tracer


def wanting_of(tracer: Tracer | None) -> type[Wanting]:
    if tracer is None:
        return Wanting
    on: Tracer = tracer

    class Traced(Wanting):
        async def look(self) -> None:
            with on.span("assignment") as span:
                await super().look()
                if (found := self._board.requirements) is not None:
                    span.set(generation=found.generation, models=len(found.wanted), problems=len(found.problems))

        async def _described(self, flows: tuple[Flow, ...]) -> Described:
            with on.span("resolve") as span:
                described = await super()._described(flows)
                span.set(workflows=len(described.workflows), models=len(described.models))
                return described

    return Traced


def downloading_of(tracer: Tracer | None) -> type[Downloading]:
    if tracer is None:
        return Downloading
    on: Tracer = tracer

    class Traced(Downloading):
        async def attempt(
            self, step: Fetch, source: Source, number: int, report: Report, tell: Tell, *, moved: Moved = lambda: None
        ) -> Arrived:
            model = step.wanted.model
            with on.span("fetch", model=str(model.path), attempt=number) as span:
                parts = _Parts(span, report)
                try:
                    arrived = await super().attempt(step, source, number, parts.report, tell, moved=moved)
                    span.set(bytes=arrived.verified.size, fetched=arrived.verified.fetched)
                    return arrived
                finally:
                    parts.turn(None)

    return Traced


def bus_of(tracer: Tracer | None) -> type[Bus]:
    if tracer is None:
        return Bus
    on: Tracer = tracer

    class Traced(Bus):
        async def publish(self, envelopes: Sequence[Envelope]) -> Published:
            with on.span("publish", events=len(envelopes)):
                return await super().publish(envelopes)

        async def history(self, envelopes: Sequence[Envelope]) -> Published:
            with on.span("publish", events=len(envelopes)):
                return await super().history(envelopes)

        async def snapshot(
            self, envelope: Envelope, entries: Sequence[Entry], before: Sequence[Envelope] = ()
        ) -> Published:
            with on.span("publish", events=1 + len(before), models=len(entries)):
                return await super().snapshot(envelope, entries, before)

    return Traced


class _Parts:
    """The parts of a download, as its reports tell them."""

    def __init__(self, span: Span, told: Callable[[Transfer], None]) -> None:
        self._span = span
        self._told = told
        self._phase: Phase | None = None
        self._part: Span | None = None

    def report(self, transfer: Transfer) -> None:
        if transfer.host:
            self._span.set(host=transfer.host)
        self.turn(transfer.phase)
        self._told(transfer)

    def turn(self, phase: Phase | None) -> None:
        if phase == self._phase:
            return
        if self._part is not None:
            self._part.end()
        name = PARTS.get(phase) if phase is not None else None
        self._phase, self._part = phase, self._span.child(name) if name else None
