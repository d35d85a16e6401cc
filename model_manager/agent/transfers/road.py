"""One attempt to bring one model: what is brought, from where, and who is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_manager.decisions.judging import Right, Wrong, early
from model_manager.facts.disk import Fingerprint
from model_manager.facts.event import DownloadStarted
from model_manager.facts.model import Model, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Offer, Phase, Received, Transfer
from model_manager.library.space import Reservation
from model_manager.sources.https import without_query
from model_manager.sources.origin import Burst, Sink, Stream

Report = Callable[[Transfer], None]
Tell = Callable[[DownloadStarted], Awaitable[None]]
Moved = Callable[[], None]


@dataclass(slots=True, kw_only=True)
class Road:
    """One attempt: what is brought, from where, and who is told of it (`told`: when last, in monotonic seconds)."""

    step: Fetch
    source: Source
    number: int
    report: Report
    tell: Tell
    moved: Moved
    told: float = 0.0

    @property
    def model(self) -> Model:
        return self.step.wanted.model

    @property
    def host(self) -> str:
        return urlsplit(self.source.url).hostname or ""

    @property
    def replaces(self) -> Fingerprint | None:
        """What the file may take the place of."""
        return self.step.replaces.fingerprint if self.step.replaces else None

    def early(self, head: bytes) -> str | None:
        return early(self.model.path.name, head)

    def seen(self, phase: Phase, have: int, total: int | None, speed: float = 0.0, connections: int = 0) -> Transfer:
        return Transfer(
            shelf=self.model.path,
            phase=phase,
            bytes=have,
            total=total,
            speed=speed,
            eta=(total - have) / speed if total is not None and speed > 0 else None,
            attempt=self.number,
            connections=connections,
            host=self.host,
        )

    def started(self, offer: Offer) -> DownloadStarted:
        return DownloadStarted(
            folder=self.model.path.folder,
            name=self.model.path.name,
            url=without_query(self.source.url),
            total=offer.size or 0,
            resumed_at=offer.start,
            attempt=self.number,
        )


@dataclass(slots=True, kw_only=True)
class Answered:
    """What a source offers, and the space for it. `reserve` looks at the disk, which takes as long as it takes: on a thread."""

    stream: Stream
    line: AsyncExitStack
    reserve: Callable[[], Reservation]
    reservation: Reservation | None = None

    def claim(self) -> Reservation:
        """The space, set aside when this is first asked. Raises NoSpace, NoInodes and RootAway."""
        self.reservation = self.reservation or self.reserve()
        return self.reservation

    @asynccontextmanager
    async def until_read(self, stream: Stream) -> AsyncIterator[Stream]:
        """The line goes back as soon as its answer, as this `stream`, has brought its part: of the host's connections it would keep
        one from those that bring the rest. After a failure it stays open, for what has come may still be read from it."""
        yield stream
        await self.line.aclose()

    @property
    def burst(self) -> Burst | None:
        """The stream's, after the space is claimed."""
        if (burst := self.stream.burst) is None:
            return None

        def claimed(sink: Sink, seconds: float, over: Callable[[], bool]) -> None:
            self.claim()
            burst(sink, seconds, over)

        return claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Every byte was judged right and has its name."""

    got: Received
    right: Right
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Every byte was judged wrong and is gone."""

    got: Received
    wrong: Wrong


Ended = Placed | Dropped
