"""One attempt to bring one model here: offer, bytes, judgement, name."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from model_manager.agent.clock import Clock
from model_manager.agent.intake import Intake
from model_manager.agent.threads import Behind, finishing, interruptible
from model_manager.decisions.judging import Right, received, sound
from model_manager.errors import BadUrl, Corrupt, OriginUnavailable, RangeBeyond
from model_manager.facts.disk import Held, Root
from model_manager.facts.event import DownloadStarted, DownloadVerified
from model_manager.facts.identity import Algorithm, Pin
from model_manager.facts.model import Model, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Offer, Phase, Received, Transfer
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


class Pace:
    """Bytes per second over the last PACE_SECONDS; a connection that trickles is given up."""

    def __init__(self, clock: Clock, slowest: int) -> None:
        self._clock = clock
        self._slowest = slowest
        self._begun = clock.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._begun, 0)])
        self._bytes = 0

    def count(self, size: int) -> None:
        now = self._clock.monotonic()
        self._bytes += size
        if now - self._marks[-1][0] >= 0.5:
            self._marks.append((now, self._bytes))
        while len(self._marks) > 2 and now - self._marks[1][0] >= PACE_SECONDS:
            self._marks.popleft()

    @property
    def speed(self) -> float:
        seconds = self._clock.monotonic() - self._marks[0][0]
        return (self._bytes - self._marks[0][1]) / seconds if seconds > 0 else 0.0

    @property
    def too_slow(self) -> bool:
        return self._clock.monotonic() - self._begun >= PACE_SECONDS and self.speed < self._slowest


class Downloading:
    """The road of one model. It raises typed errors and remembers which objects were wrong, so that it is not fooled twice."""

    def __init__(
        self, origins: tuple[Origin, ...], root: Root, space: Space, clock: Clock, settings: Callable[[], Settings]
    ) -> None:
        self._origins = origins
        self._root = root
        self._space = space
        self._clock = clock
        self._settings = settings
        self._condemned: dict[str, dict[Identity, list[float]]] = {}

    async def attempt(self, step: Fetch, source: Source, number: int, report: Report, tell: Tell) -> Arrived:
        """Bring the model from one source. `number` counts attempts from 1. A cancelled attempt keeps what it has.

        Raises Corrupt (wrong bytes, discarded), Unavailable (go on later from here) or Refused.
        """
        model = step.wanted.model
        begun = self._clock.monotonic()
        report(Transfer(shelf=model.path, phase=Phase.RESOLVING, attempt=number))
        wrong = step.replaces.fingerprint if step.replaces else None
        await finishing(insist_free, self._root, model.path, replaces=wrong)
        partial = await finishing(
            Partial.open, os.path.join(self._root.path, PARTIAL), model.path, algorithms=_algorithms(model)
        )
        try:
            announced = partial.total is not None
            if not partial.complete:
                announced = await self._bring(partial, model, source, number, report, tell)
            report(
                Transfer(
                    shelf=model.path, phase=Phase.VERIFYING, bytes=partial.offset, total=partial.offset, attempt=number
                )
            )
            got = await finishing(partial.finish)
            held = await self._judge_and_place(partial, got, step, source, announced, report)
        finally:
            await finishing(partial.close)
        return Arrived(held=held, verified=_verified(held, got, self._clock.monotonic() - begun))

    async def _bring(
        self, partial: Partial, model: Model, source: Source, number: int, report: Report, tell: Tell
    ) -> bool:  # fmt: skip
        """All bytes into the partial; whether their number was announced."""
        start, validator = partial.resumable(source.url, model.pin)
        if start:
            await interruptible(lambda cancelled: partial.prepare(cancelled=cancelled))
        origin = self._origin(source)
        try:
            async with origin.open(model.name, source, start=start, validator=validator, size=partial.total) as stream:
                self._insist(model, source, stream.offer)
                await tell(_started(model, source, stream.offer, number))
                await self._read(partial, model, source, stream, number, report)
                return stream.offer.size is not None or partial.total is not None
        except RangeBeyond as beyond:
            if beyond.size not in (None, partial.offset):
                await finishing(partial.restart)
                raise
            return beyond.size is not None or partial.total is not None
        except Corrupt:
            await finishing(partial.restart)
            raise

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

    async def _read(
        self, partial: Partial, model: Model, source: Source, stream: Stream, number: int, report: Report
    ) -> None:
        offer = stream.offer
        expected = offer.size or (model.size.bytes if model.size else 0)
        await finishing(partial.begin, source.url, offer, model.pin)
        total, need = offer.size or partial.total, max(0, expected - partial.offset)
        pace = Pace(self._clock, self._settings().min_speed)
        with self._space.reserve(self._root.path, need, model.name) as reservation:
            async with Behind() as behind:
                intake = Intake(partial, model, offer, reservation, behind)
                told = 0.0
                try:
                    async for chunk in stream.chunks():
                        pace.count(len(chunk))
                        await intake.take(chunk)
                        if (now := self._clock.monotonic()) - told >= REPORT_EVERY:
                            told = now
                            report(_fetching(model, intake.have, total, pace, number))
                        if pace.too_slow:
                            why = f"{pace.speed:.0f} bytes/s over {PACE_SECONDS:.0f} s is below MODEL_MANAGER_MIN_SPEED"
                            raise OriginUnavailable(host=offer.host, name=model.name, why=why)
                    await intake.settle()
                except OriginUnavailable:
                    await intake.salvage()
                    raise
                finally:
                    report(_fetching(model, partial.offset, total, pace, number))

    async def _judge_and_place(
        self, partial: Partial, got: Received, step: Fetch, source: Source, announced: bool, report: Report
    ) -> Held:
        model = step.wanted.model
        head, header = await finishing(beginning, partial.path)
        verdict = received(
            model, got, sound(model.path.name, head, header, got.size), announced=announced, unpinned=self._settings().unpinned
        )  # fmt: skip
        if not isinstance(verdict, Right):
            self._condemn(source, got)
            await finishing(partial.discard)
            raise Corrupt(name=model.name, host=got.host, why=verdict.why)
        report(Transfer(shelf=model.path, phase=Phase.PLACING, bytes=got.size, total=got.size))
        wrong = step.replaces.fingerprint if step.replaces else None
        placed = await finishing(place, partial.path, self._root, model.path, replaces=wrong)
        await finishing(partial.discard)
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

    def forgive(self) -> None:
        """Whoever asks for another attempt may have mended the object and kept its ETag."""
        self._condemned.clear()

    def _condemn(self, source: Source, got: Received) -> None:
        identity = (got.validator, got.size, got.promise)
        times = self._condemned.setdefault(source.url, {}).setdefault(identity, [])
        times.append(self._clock.monotonic())

    def _wrong(self, source: Source, identity: Identity) -> int:
        """How often the object was wrong of late."""
        since = self._clock.monotonic() - CONDEMNED
        return sum(when > since for when in self._condemned.get(source.url, {}).get(identity, ()))


def _identity(offer: Offer) -> Identity:
    return offer.validator, offer.size, offer.promise


def _algorithms(model: Model) -> frozenset[Algorithm]:
    return frozenset(model.pin.algorithms) & {"md5", "autov3"} if model.pin else frozenset()


def _fetching(model: Model, have: int, total: int | None, pace: Pace, number: int) -> Transfer:
    left = None if total is None else total - have
    speed = pace.speed
    return Transfer(
        shelf=model.path,
        phase=Phase.FETCHING,
        bytes=have,
        total=total,
        speed=speed,
        eta=left / speed if left is not None and speed > 0 else None,
        attempt=number,
    )


def _started(model: Model, source: Source, offer: Offer, number: int) -> DownloadStarted:
    return DownloadStarted(
        folder=model.path.folder,
        name=model.path.name,
        url=without_query(source.url),
        total=offer.size or 0,
        resumed_at=offer.start,
        attempt=number,
    )


def _verified(held: Held, got: Received, seconds: float) -> DownloadVerified:
    return DownloadVerified(
        folder=held.shelf.folder,
        name=held.shelf.name,
        size=got.size,
        sha256=got.digests.sha256,
        evidence=held.evidence or "",
        fetched=got.fetched,
        seconds=round(seconds, 3),
    )
