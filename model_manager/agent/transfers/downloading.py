"""One attempt to bring one model here: offer, bytes, judgement, name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial as partial_of
from typing import Final

from model_manager.agent.clock import Clock
from model_manager.agent.threads import finishing, interruptible
from model_manager.agent.transfers.drawing import Drawing
from model_manager.agent.transfers.gathering import Gathering, beginning_of
from model_manager.agent.transfers.mistrusting import Mistrust
from model_manager.agent.transfers.pacing import PACE_SECONDS, Pace
from model_manager.agent.transfers.road import Answered, Dropped, Ended, Moved, Placed, Report, Road, Tell
from model_manager.agent.transfers.rushing import Rush
from model_manager.agent.transfers.widths import Widths
from model_manager.decisions.bounding import most
from model_manager.decisions.digesting import needed
from model_manager.decisions.judging import Wrong, received, sound
from model_manager.errors import BadUrl, Corrupt, OriginUnavailable, PieceCorrupt, RangeBeyond
from model_manager.facts.disk import Held, Root
from model_manager.facts.event import DownloadVerified
from model_manager.facts.model import Model, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Offer, Phase, Received, Transfer
from model_manager.library.contents.reading import beginning
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.incoming.partial import Partial
from model_manager.library.incoming.placing import insist_free, place
from model_manager.library.incoming.staging import own_root
from model_manager.library.incoming.whole import Whole
from model_manager.library.markers import PARTIAL
from model_manager.library.space import Space
from model_manager.settings import Settings
from model_manager.sources.https import without_query
from model_manager.sources.origin import Origin, Stream

REPORT_EVERY: Final = 0.25
"""Seconds between two reports of progress of one model."""

SEALERS: Final = 8
"""Short files that are written, hashed and synced at once, beside those whose bytes move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A model under its name, and what the fleet is told of it."""

    held: Held
    verified: DownloadVerified


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
        self._sealers = asyncio.Semaphore(SEALERS)
        self._widths = Widths(clock, lambda host: settings().quotas.connections.of(host))
        self._mistrust = Mistrust(clock)

    async def attempt(
        self, step: Fetch, source: Source, number: int, report: Report, tell: Tell, *, moved: Moved = lambda: None
    ) -> Arrived:
        """Bring the model from one source. `number` counts attempts from 1. A cancelled attempt keeps what it has.

        `moved` is called when all bytes of a short object came: the line is free while the disk works.

        Raises Corrupt (wrong bytes, discarded), Unavailable (go on later from here) or Refused.
        """
        begun = self._clock.monotonic()
        road = Road(step=step, source=source, number=number, report=report, tell=tell, moved=moved)
        partial = await finishing(self._open, road)
        report(road.seen(Phase.RESOLVING, partial.here, partial.total))
        try:
            ended = await self._brought(partial, road)
            if isinstance(ended, bool):
                got = await self._whole(partial, road)
                placing = partial_of(asyncio.get_running_loop().call_soon_threadsafe, _placing, road, got)
                ended = await finishing(self._end, partial, got, road, announced=ended, placing=placing)
            elif isinstance(ended, Placed):
                _placing(road, ended.got)
        finally:
            if not partial.closed:
                await finishing(partial.close)
        held = self._held(road, ended)
        return Arrived(held=held, verified=_verified(held, ended.got, self._clock.monotonic() - begun))

    def _open(self, road: Road) -> Partial:
        """What is here of the model, when its place is free."""
        insist_free(self._root, road.model.path, replaces=road.replaces)
        directory = os.path.join(self._root.path, PARTIAL)
        with own_root(self._root) as top:
            return Partial.open(
                directory, road.model.path, algorithms=needed(road.model.pin), buffers=self._buffers, top=top
            )

    async def _brought(self, partial: Partial, road: Road) -> Ended | bool:
        """Every byte is here, as far as anybody said how many there are, and whether anybody did; or the end of a short one."""
        announced = partial.total is not None
        while not partial.complete and (partial.total is None or partial.missing()):
            try:
                if ended := await self._bring(partial, road):
                    return ended
            except RangeBeyond as beyond:
                if beyond.size not in (None, partial.reached):
                    await finishing(partial.restart)
                    raise
                return beyond.size is not None or announced
            announced = partial.total is not None
            if not announced:
                break
        return announced

    async def _bring(self, partial: Partial, road: Road) -> Ended | None:
        """What is missing, as far as one answer and its parts serve it; a short object all the way to its name."""
        try:
            with ExitStack() as kept:
                async with AsyncExitStack() as line:
                    answer = await self._answer(line, kept, partial, road)
                    gathering = Gathering(answer.stream)
                    whole = partial.whole(answer.stream.offer, judge=road.early, short=gathering.ring)
                    if whole is None:
                        await finishing(self._begin, partial, road, answer)
                        await self._draw(partial, road, answer.until_read(answer.stream))
                        return None
                    kept.callback(whole.drop)
                    if rush := self._rush(partial, road, answer, whole):
                        async with rush:
                            if await self._rushed(partial, road, answer, whole, rush):
                                await line.aclose()
                                return await self._after(rush, road)
                    else:
                        await finishing(answer.claim)
                    if not await self._gather(partial, road, answer, gathering, whole):
                        return None
                return await self._seal(partial, road, answer, whole)
        except (RangeBeyond, PieceCorrupt):
            raise
        except Corrupt:
            await finishing(partial.restart)
            raise

    async def _answer(self, line: AsyncExitStack, kept: ExitStack, partial: Partial, road: Road) -> Answered:
        """The source's answer from the first missing byte, judged by what it says of itself. `line` keeps the connection,
        `kept` the space for it, once that is claimed."""
        model, source = road.model, road.source
        alone = self._mistrust.alone(model.path)
        start, validator = partial.resumable(source.url, None if alone else model.pin)
        pinned = start > 0 and validator is None and partial.url != without_query(source.url)
        where = self._origin(source).open(
            model.name, source, start=start, validator=validator, size=partial.total, pinned=pinned
        )
        try:
            async with asyncio.timeout(PACE_SECONDS if self._settings().min_speed else None):
                stream = await line.enter_async_context(where)
        except TimeoutError:
            why = f"no answer began within {PACE_SECONDS:.0f} s"
            raise OriginUnavailable(host=road.host, name=model.name, why=why) from None
        offer = stream.offer
        self._insist(model, source, offer)
        await road.tell(road.started(offer))
        expected = offer.size or (model.size.bytes if model.size else 0)
        self._mistrust.carries(model.path, source.url, on=offer.start > 0)
        room = self._root.path, max(0, expected - (partial.here if offer.start else 0)), model.name
        return Answered(stream=stream, line=line, reserve=lambda: kept.enter_context(self._space.reserve(*room)))

    def _begin(self, partial: Partial, road: Road, answer: Answered) -> None:
        partial.begin(
            road.source.url,
            answer.stream.offer,
            road.model.pin,
            judge=road.early,
            writing=answer.claim().writing,
            most=most(road.model),
        )

    async def _gather(self, partial: Partial, road: Road, answer: Answered, gathering: Gathering, whole: Whole) -> bool:
        """Whether all of a short object came into memory; else what came of it is on the disk, as with longer ones."""
        written = False
        try:
            async with gathering.into(whole):
                await gathering.decided()
                if not whole.complete:
                    await finishing(self._begin, partial, road, answer)
                    rest = gathering.rest(whole, partial.adopt(whole.full()))
                    written = True
                    await self._draw(partial, road, answer.until_read(rest))
        except Corrupt:
            raise
        except BaseException:
            if not written:
                await self._spill(partial, road, answer, whole)
            raise
        return not written

    async def _spill(self, partial: Partial, road: Road, answer: Answered, whole: Whole) -> None:
        """What came before a break goes to the disk: the next attempt begins there."""

        def spilt() -> None:
            self._begin(partial, road, answer)
            partial.adopt(whole.all())
            partial.settle()

        if whole.at:
            await finishing(spilt)
            road.report(road.seen(Phase.FETCHING, partial.here, partial.total))

    def _rush(self, partial: Partial, road: Road, answer: Answered, whole: Whole) -> Rush[Ended] | None:
        """Where a thread of its own may bring it into memory: that, and everything after."""
        burst = answer.burst
        sealed = self._sealing(partial, road, answer, whole)
        return Rush(burst, whole, lambda: _came(road, whole), sealed) if burst else None

    async def _rushed(self, partial: Partial, road: Road, answer: Answered, whole: Whole, rush: Rush[Ended]) -> bool:
        """Whether all of it came in one rush."""
        try:
            return await rush.received()
        except Corrupt:
            raise
        except BaseException:
            if not whole.complete:
                await self._spill(partial, road, answer, whole)
            raise

    async def _after(self, rush: Rush[Ended], road: Road) -> Ended | None:
        """What its thread does after the last byte. Its slot is free meanwhile, unless many do that."""
        if self._sealers.locked():
            return await rush.ended()
        async with self._sealers:
            road.moved()
            return await rush.ended()

    async def _seal(self, partial: Partial, road: Road, answer: Answered, whole: Whole) -> Ended:
        """One thread writes, hashes, syncs, judges and places it: each hand-over to another waits for the interpreter."""
        _came(road, whole)
        sealed = self._sealing(partial, road, answer, whole)
        async with self._sealers:
            road.moved()
            return await finishing(sealed)

    def _sealing(self, partial: Partial, road: Road, answer: Answered, whole: Whole) -> Callable[[], Ended]:
        def sealed() -> Ended:
            offer, pin, begun = answer.stream.offer, road.model.pin, beginning_of(whole)
            got = partial.seal(whole, road.source.url, offer, pin, writing=answer.claim().writing)
            return self._end(partial, got, road, announced=True, begun=begun)

        return sealed

    async def _draw(self, partial: Partial, road: Road, opened: AbstractAsyncContextManager[Stream]) -> None:
        drawing, pace = Drawing(partial, self._widths, self._clock), Pace(self._clock, self._settings().min_speed)
        try:
            await drawing.draw(opened, lambda: self._watch(partial, drawing, pace, road))
        finally:
            await self._settle(partial, drawing, pace, road)

    async def _settle(self, partial: Partial, drawing: Drawing, pace: Pace, road: Road) -> None:
        """Everything that came is on the disk, and told: the next attempt, if there must be one, begins there."""
        try:
            await finishing(partial.settle)
        finally:
            if drawing.received:
                road.report(_fetching(road, partial, drawing, pace))

    def _watch(self, partial: Partial, drawing: Drawing, pace: Pace, road: Road) -> None:
        """What is looked at while bytes come: their progress, and whether they trickle."""
        pace.reached(drawing.received)
        now = self._clock.monotonic()
        if now - road.told >= REPORT_EVERY:
            road.told = now
            road.report(_fetching(road, partial, drawing, pace))
        if pace.too_slow:
            why = f"{pace.speed:.0f} bytes/s over {PACE_SECONDS:.0f} s is below MODEL_MANAGER_MIN_SPEED"
            raise OriginUnavailable(host=road.host, name=road.model.name, why=why)

    async def _whole(self, partial: Partial, road: Road) -> Received:
        """Every byte synced, and hashed to the last."""
        loop = asyncio.get_running_loop()

        def progress(hashed: int) -> None:
            now = self._clock.monotonic()
            if now - road.told >= REPORT_EVERY:
                road.told = now
                loop.call_soon_threadsafe(road.report, road.seen(Phase.VERIFYING, hashed, partial.here))

        road.report(road.seen(Phase.VERIFYING, partial.hashed, partial.here))
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
        if self._mistrust.condemned(source.url, offer):
            raise Corrupt(name=model.name, host=offer.host, why="it is still the object that was wrong twice")

    def _end(
        self,
        partial: Partial,
        got: Received,
        road: Road,
        *,
        announced: bool,
        placing: Callable[[], object] = lambda: None,
        begun: tuple[bytes, bytes | None] | None = None,
    ) -> Ended:
        """The verdict on all bytes, and for the right ones the name; what else there is of the unfinished file goes.

        On a thread. `placing` is called before it gets its name; `begun`: what `beginning` says of the file, where that is known.
        """
        model = road.model
        head, header = begun or beginning(partial.path)
        unsound = sound(model.path.name, head, header, got.size)
        verdict = received(model, got, unsound, announced=announced, unpinned=self._settings().unpinned)
        if isinstance(verdict, Wrong):
            partial.discard()
            return Dropped(got=got, wrong=verdict)
        placing()
        fingerprint = place(partial.path, self._root, model.path, replaces=road.replaces)
        partial.discard(placed=True)
        return Placed(got=got, right=verdict, fingerprint=fingerprint)

    def _held(self, road: Road, ended: Ended) -> Held:
        """What lies in its place now. Raises Corrupt when the bytes were wrong."""
        model, got = road.model, ended.got
        if isinstance(ended, Dropped):
            self._mistrust.wrong(model.path, road.source.url, got)
            raise Corrupt(name=model.name, host=got.host, why=ended.wrong.why)
        self._mistrust.right(model.path)
        return Held(
            file=os.path.join(self._root.path, str(model.path)),
            root=self._root.path,
            shelf=model.path,
            fingerprint=ended.fingerprint,
            digests=got.digests,
            evidence=ended.right.evidence,
            against=ended.right.against,
            verified_at=self._clock.now(),
        )

    def forgive(self) -> None:
        """Whoever asks for another attempt may have mended the object and kept its ETag."""
        self._mistrust.forgive()


def _came(road: Road, whole: Whole) -> None:
    road.report(road.seen(Phase.FETCHING, whole.size, whole.size))
    road.report(road.seen(Phase.VERIFYING, 0, whole.size))


def _placing(road: Road, got: Received) -> None:
    road.report(road.seen(Phase.PLACING, got.size, got.size))


def _fetching(road: Road, partial: Partial, drawing: Drawing, pace: Pace) -> Transfer:
    return road.seen(Phase.FETCHING, partial.here, partial.total, pace.speed, drawing.connections)


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
