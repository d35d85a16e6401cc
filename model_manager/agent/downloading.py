"""One attempt to bring one model here: offer, bytes, judgement, name."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from model_manager.agent.clock import Clock
from model_manager.agent.drawing import Drawing
from model_manager.agent.threads import finishing, interruptible
from model_manager.agent.widths import Widths
from model_manager.decisions.bounding import most
from model_manager.decisions.digesting import needed
from model_manager.decisions.judging import Right, early, received, sound
from model_manager.errors import BadUrl, Corrupt, OriginUnavailable, PieceCorrupt, RangeBeyond
from model_manager.facts.disk import Fingerprint, Held, Root
from model_manager.facts.event import DownloadStarted, DownloadVerified
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer, Phase, Received, Transfer
from model_manager.library.buffers import Buffers
from model_manager.library.markers import PARTIAL
from model_manager.library.partial import Partial
from model_manager.library.placing import insist_free, place
from model_manager.library.reading import beginning
from model_manager.library.space import Space
from model_manager.settings import Settings
from model_manager.sources.https import without_query
from model_manager.sources.origin import Origin, Stream

PACE_SECONDS: Final = 30.0
"""Seconds over which the minimum speed is measured."""

REPORT_EVERY: Final = 0.25
"""Seconds between two reports of progress of one model."""

CONDEMNED: Final = 3600.0
"""Seconds that an object which was wrong twice is not fetched again: its bytes may be mended under the same ETag."""

Report = Callable[[Transfer], None]
Tell = Callable[[DownloadStarted], Awaitable[None]]
Identity = tuple[str | None, int | None, Pin | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A model under its name, and what the fleet is told of it."""

    held: Held
    verified: DownloadVerified


@dataclass(slots=True, kw_only=True)
class _Road:
    """One attempt: what is brought, from where, and who is told of it (`told`: when last, in monotonic seconds)."""

    model: Model
    source: Source
    number: int
    report: Report
    tell: Tell
    told: float = 0.0

    @property
    def host(self) -> str:
        return urlsplit(self.source.url).hostname or ""


class Pace:
    """Bytes per second over the last PACE_SECONDS; a connection that trickles is given up."""

    def __init__(self, clock: Clock, slowest: int) -> None:
        self._clock = clock
        self._slowest = slowest
        self._begun = clock.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._begun, 0)])
        self._bytes = 0

    def reached(self, received: int) -> None:
        """So many bytes came since the beginning."""
        now = self._clock.monotonic()
        self._bytes = received
        if now - self._marks[-1][0] >= 0.5:
            self._marks.append((now, self._bytes))
        while len(self._marks) > 2 and now - self._marks[1][0] >= PACE_SECONDS:
            self._marks.popleft()

    @property
    def speed(self) -> float:
        """0 in the first second, over which nothing can be said yet."""
        seconds = self._clock.monotonic() - self._marks[0][0]
        return (self._bytes - self._marks[0][1]) / seconds if seconds >= 1 else 0.0

    @property
    def too_slow(self) -> bool:
        return self._clock.monotonic() - self._begun >= PACE_SECONDS and self.speed < self._slowest


class Downloading:
    """The road of one model. It raises typed errors and remembers which objects were wrong, so that it is not fooled twice."""

    def __init__(
        self,
        origins: tuple[Origin, ...],
        root: Root,
        space: Space,
        clock: Clock,
        settings: Callable[[], Settings],
        buffers: Buffers,
    ) -> None:
        """`buffers`: the memory that all downloads share."""
        self._origins = origins
        self._root = root
        self._space = space
        self._clock = clock
        self._settings = settings
        self._buffers = buffers
        self._widths = Widths(clock, lambda host: settings().quotas.connections.of(host))
        self._condemned: dict[str, dict[Identity, list[float]]] = {}
        self._carried: dict[ShelfPath, set[str]] = {}
        self._unmixed: set[ShelfPath] = set()

    async def attempt(self, step: Fetch, source: Source, number: int, report: Report, tell: Tell) -> Arrived:
        """Bring the model from one source. `number` counts attempts from 1. A cancelled attempt keeps what it has.

        Raises Corrupt (wrong bytes, discarded), Unavailable (go on later from here) or Refused.
        """
        model = step.wanted.model
        begun = self._clock.monotonic()
        road = _Road(model=model, source=source, number=number, report=report, tell=tell)
        partial = await finishing(self._open, step)
        report(
            Transfer(
                shelf=model.path,
                phase=Phase.RESOLVING,
                bytes=partial.here,
                total=partial.total,
                attempt=number,
                host=road.host,
            )
        )
        try:
            announced = await self._brought(partial, road)
            got = await self._whole(partial, road)
            held = await self._judge_and_place(partial, got, step, road, announced)
        finally:
            if not partial.closed:
                await finishing(partial.close)
        return Arrived(held=held, verified=_verified(held, got, self._clock.monotonic() - begun))

    def _open(self, step: Fetch) -> Partial:
        """What is here of the model, when its place is free."""
        model = step.wanted.model
        insist_free(self._root, model.path, replaces=step.replaces.fingerprint if step.replaces else None)
        directory = os.path.join(self._root.path, PARTIAL)
        return Partial.open(directory, model.path, algorithms=needed(model.pin), buffers=self._buffers)

    async def _brought(self, partial: Partial, road: _Road) -> bool:
        """Every byte is here, as far as anybody said how many there are; whether anybody did."""
        announced = partial.total is not None
        while not partial.complete and (partial.total is None or partial.missing()):
            try:
                await self._bring(partial, road)
            except RangeBeyond as beyond:
                if beyond.size not in (None, partial.reached):
                    await finishing(partial.restart)
                    raise
                return beyond.size is not None or announced
            announced = partial.total is not None
            if not announced:
                break
        return announced

    async def _bring(self, partial: Partial, road: _Road) -> None:
        """What is missing, as far as one answer and its parts serve it."""
        drawing = Drawing(partial, self._widths, self._clock)
        pace = Pace(self._clock, self._settings().min_speed)
        try:
            async with AsyncExitStack() as stack:
                opened = self._opened(stack, partial, road)
                try:
                    await drawing.draw(opened, lambda: self._watch(partial, drawing, pace, road))
                finally:
                    await self._settle(partial, drawing, pace, road)
        except (RangeBeyond, PieceCorrupt):
            raise
        except Corrupt:
            await finishing(partial.restart)
            raise

    async def _settle(self, partial: Partial, drawing: Drawing, pace: Pace, road: _Road) -> None:
        """Everything that came is on the disk, and told: the next attempt, if there must be one, begins there."""
        try:
            await finishing(partial.settle)
        finally:
            if drawing.received:
                road.report(_fetching(road, partial, drawing, pace))

    @asynccontextmanager
    async def _opened(self, stack: AsyncExitStack, partial: Partial, road: _Road) -> AsyncIterator[Stream]:
        """The source's answer from the first missing byte, judged by what it says of itself. `stack` keeps the space for it."""
        model, source = road.model, road.source
        alone = model.path in self._unmixed
        start, validator = partial.resumable(source.url, None if alone else model.pin)
        pinned = start > 0 and validator is None and partial.url != without_query(source.url)
        where = self._origin(source).open(
            model.name, source, start=start, validator=validator, size=partial.total, pinned=pinned
        )
        async with where as stream:
            offer = stream.offer
            self._insist(model, source, offer)
            await road.tell(_started(road, offer))
            expected = offer.size or (model.size.bytes if model.size else 0)
            need = max(0, expected - (partial.here if offer.start else 0))
            reservation = stack.enter_context(self._space.reserve(self._root.path, need, model.name))
            self._carried[model.path] = (self._carried.get(model.path, set()) if offer.start else set()) | {source.url}
            await finishing(
                partial.begin,
                source.url,
                offer,
                model.pin,
                judge=lambda head: early(model.path.name, head),
                writing=reservation.writing,
                most=most(model),
            )
            yield stream

    def _watch(self, partial: Partial, drawing: Drawing, pace: Pace, road: _Road) -> None:
        """What is looked at while bytes come: their progress, and whether they trickle."""
        pace.reached(drawing.received)
        now = self._clock.monotonic()
        if now - road.told >= REPORT_EVERY:
            road.told = now
            road.report(_fetching(road, partial, drawing, pace))
        if pace.too_slow:
            why = f"{pace.speed:.0f} bytes/s over {PACE_SECONDS:.0f} s is below MODEL_MANAGER_MIN_SPEED"
            raise OriginUnavailable(host=road.host, name=road.model.name, why=why)

    async def _whole(self, partial: Partial, road: _Road) -> Received:
        """Every byte synced, and hashed to the last."""
        loop = asyncio.get_running_loop()

        def progress(hashed: int) -> None:
            now = self._clock.monotonic()
            if now - road.told >= REPORT_EVERY:
                road.told = now
                loop.call_soon_threadsafe(road.report, _verifying(road, partial, hashed))

        road.report(_verifying(road, partial, partial.hashed))
        return await interruptible(lambda cancelled: partial.finish(cancelled=cancelled, progress=progress))

    def _origin(self, source: Source) -> Origin:
        for origin in self._origins:
            if origin.claims(source.url):
                return origin
        raise BadUrl(url=without_query(source.url), why="no origin of ours serves such an address")

    def _insist(self, model: Model, source: Source, offer: Offer) -> None:
        """Refuse before the first byte what cannot end well."""
        size = model.size
        pinned = model.pin is not None and model.pin.strong
        if size and size.exact and offer.size not in (None, size.bytes) and not pinned:
            raise Corrupt(
                name=model.name, host=offer.host, why=f"it has {offer.size} bytes, the catalog says {size.bytes}"
            )
        if model.pin and offer.promise and model.pin.contradicts(offer.promise):
            raise Corrupt(
                name=model.name, host=offer.host, why=f"it is {offer.promise} there, the catalog says {model.pin}"
            )
        if self._wrong(source, _identity(offer)) >= 2:
            raise Corrupt(name=model.name, host=offer.host, why="it is still the object that was wrong twice")

    async def _judge_and_place(
        self, partial: Partial, got: Received, step: Fetch, road: _Road, announced: bool
    ) -> Held:
        model = road.model
        head, header = await finishing(beginning, partial.path)
        verdict = received(
            model, got, sound(model.path.name, head, header, got.size), announced=announced, unpinned=self._settings().unpinned
        )  # fmt: skip
        if not isinstance(verdict, Right):
            self._condemn(road, got)
            await finishing(partial.discard)
            raise Corrupt(name=model.name, host=got.host, why=verdict.why)
        road.report(
            Transfer(shelf=model.path, phase=Phase.PLACING, bytes=got.size, total=got.size, attempt=road.number)
        )
        placed = await finishing(self._place, partial, step)
        self._carried.pop(model.path, None)
        self._unmixed.discard(model.path)
        return Held(
            file=os.path.join(self._root.path, str(model.path)),
            root=self._root.path,
            shelf=model.path,
            fingerprint=placed,
            digests=got.digests,
            evidence=verdict.evidence,
            against=verdict.against,
            verified_at=self._clock.now(),
        )

    def _place(self, partial: Partial, step: Fetch) -> Fingerprint:
        """The name for the bytes; what else there is of the unfinished file goes."""
        wrong = step.replaces.fingerprint if step.replaces else None
        placed = place(partial.path, self._root, step.wanted.model.path, replaces=wrong)
        partial.discard()
        return placed

    def forgive(self) -> None:
        """Whoever asks for another attempt may have mended the object and kept its ETag."""
        self._condemned.clear()
        self._unmixed.clear()

    def _condemn(self, road: _Road, got: Received) -> None:
        """These bytes were wrong. If they came from several addresses, each has to bring the whole from now on."""
        source = road.source
        if len(self._carried.pop(road.model.path, ())) > 1:
            self._unmixed.add(road.model.path)
            return
        identity = (got.validator, got.size, got.promise)
        times = self._condemned.setdefault(source.url, {}).setdefault(identity, [])
        times.append(self._clock.monotonic())

    def _wrong(self, source: Source, identity: Identity) -> int:
        """How often the object was wrong of late."""
        since = self._clock.monotonic() - CONDEMNED
        return sum(when > since for when in self._condemned.get(source.url, {}).get(identity, ()))


def _identity(offer: Offer) -> Identity:
    return offer.validator, offer.size, offer.promise


def _fetching(road: _Road, partial: Partial, drawing: Drawing, pace: Pace) -> Transfer:
    have, total, speed = partial.here, partial.total, pace.speed
    return Transfer(
        shelf=road.model.path,
        phase=Phase.FETCHING,
        bytes=have,
        total=total,
        speed=speed,
        eta=(total - have) / speed if total is not None and speed > 0 else None,
        attempt=road.number,
        connections=drawing.connections,
        host=road.host,
    )


def _verifying(road: _Road, partial: Partial, hashed: int) -> Transfer:
    return Transfer(
        shelf=road.model.path,
        phase=Phase.VERIFYING,
        bytes=hashed,
        total=partial.here,
        attempt=road.number,
        host=road.host,
    )


def _started(road: _Road, offer: Offer) -> DownloadStarted:
    return DownloadStarted(
        folder=road.model.path.folder,
        name=road.model.path.name,
        url=without_query(road.source.url),
        total=offer.size or 0,
        resumed_at=offer.start,
        attempt=road.number,
    )


def _verified(held: Held, got: Received, seconds: float) -> DownloadVerified:
    return DownloadVerified(
        folder=held.shelf.folder,
        name=held.shelf.name,
        size=got.size,
        sha256=got.digests.sha256 or "",
        evidence=held.evidence or "",
        fetched=got.fetched,
        seconds=round(seconds, 3),
    )
