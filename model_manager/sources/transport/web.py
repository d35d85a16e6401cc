"""The client under every http origin: guarded, without cookies, proxies of the environment or silent redirects."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from model_manager.errors import BadSetting, BadUrl, OriginUnavailable
from model_manager.facts.quota import Quotas
from model_manager.sources.credentials import Credentials
from model_manager.sources.origin import Burst, Sink
from model_manager.sources.transport.bursting import burst
from model_manager.sources.transport.dialling import Dialer
from model_manager.sources.transport.guard import Guard, GuardedResolver, authority, shown
from model_manager.sources.transport.keeping import Lines
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.line import Line
from model_manager.sources.transport.pump import Pump
from model_manager.sources.transport.translating import FAULTS, Silent, translated, translating
from model_manager.sources.transport.wire import PlainWire

MAX_HOPS: Final = 10
"""Redirects."""

OURS: Final = {"User-Agent": "model_manager", "Accept": "*/*", "Accept-Encoding": "identity"}
"""Headers of every request."""

PLAIN_PUMPS: Final = 4
"""Threads that receive plain bodies: the kernel's copying is the work, and it goes on beside the interpreter. Measured with
eight bodies: 0.9 GB/s by one, 1.5 by four."""

TLS_PUMPS: Final = 1
"""Threads that decrypt: each record of 16 KiB asks for the interpreter, and two threads fight for it. Measured: 1.9
CPU-seconds per GiB in place of 1.1, and no byte faster."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: until a connection stands, of silence while reading, and until an answer's headers are complete.

    There is no limit on the whole: a large model may take hours. Whoever reads watches the speed.
    """

    connect: float = 20
    silence: float = 25
    answer: float = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One redirect on the way: who answered, and what it said."""

    url: URL
    headers: Mapping[str, str]


Turning = Callable[[Hop, dict[str, str]], dict[str, str]]
"""The request headers after a redirect, from those before it. Tokens are no part of them."""


def straight(_hop: Hop, headers: dict[str, str]) -> dict[str, str]:
    """The request goes on as it was."""
    return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What bodies pass through: the threads that pump, the limits, and the seconds of silence that are borne."""

    plain: Pump
    tls: Pump
    limits: Limits
    silence: float


class Answer:
    """An answer whose body has not been read. `sent` are the request's headers without tokens."""

    def __init__(
        self, name: str, url: URL, line: Line, hops: tuple[Hop, ...], sent: Mapping[str, str], flow: Flow
    ) -> None:
        self._name = name
        self._line = line
        self._flow = flow
        self.hops = hops
        self.sent = sent
        self.url = url
        self.host = url.host or ""
        self.status = line.status
        self.headers = line.headers

    @property
    def moved(self) -> bool:
        """Whether another host (or scheme, or port) answers than the one that was asked."""
        return bool(self.hops) and self.hops[0].url.origin() != self.url.origin()

    @property
    def size(self) -> int | None:
        """Bytes of the body; None when only its end will tell."""
        return self._line.size

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; all that came, and then OriginUnavailable, when the connection breaks."""
        pieces = self._line.pieces(self._flow.silence)
        while True:
            try:
                piece = await anext(pieces, None)
            except FAULTS as error:
                raise self._translated(error) from None
            if piece is None:
                return
            await self._flow.limits.spend(self.host, len(piece))
            yield piece

    async def pour(self, sink: Sink, start: int = 0) -> int:
        """A body of known size into the sink, by a thread; the bytes that it took, with those of a burst before, fewer when it
        has enough.

        `start`: the offset of the first byte in the object, for messages. Raises OriginUnavailable when the body ends
        too early or the origin falls silent, and what the sink raises.
        """
        line, size = self._line, self._line.left or 0
        before = (line.size or 0) - size
        with self._minding():
            pump = self._flow.tls if self.url.scheme == "https" else self._flow.plain
            poured = await pump.pour(line.wire, self.host, size, sink)
        line.took(poured)
        if poured < size and line.wire.ended:
            why = f"it ended at byte {start + before + poured} of {start + before + size}"
            raise OriginUnavailable(host=self.host, name=self._name, why=why)
        return before + poured

    @property
    def burst(self) -> Burst | None:
        """None where bytes are counted as they come, and where TLS would hand them out record by record."""
        wire = self._line.wire
        if not isinstance(wire, PlainWire) or self._flow.limits.counts_bytes or self._line.left is None:
            return None
        return partial(self._burst, wire)

    def _burst(self, wire: PlainWire, sink: Sink, seconds: float, over: Callable[[], bool]) -> None:
        with self._minding():
            self._line.took(burst(wire, self._line.left or 0, sink, seconds, over))

    @contextmanager
    def _minding(self) -> Iterator[None]:
        """After a failure nobody knows where the line is."""
        line = self._line
        try:
            yield
        except BaseException as error:
            line.close()
            if isinstance(error, TimeoutError) or error is line.wire.fault:
                raise self._translated(error) from None
            raise

    def _translated(self, error: BaseException) -> Exception:
        silent = isinstance(error, TimeoutError) and not error.errno
        return translated(Silent() if silent else error, self._name, self.host)


class Web:
    """GET, hop by hop: each address is checked, and each gets only the token that is its own.

    `patience`: seconds until an answer's headers must be complete.
    """

    def __init__(
        self, lines: Lines, guard: Guard, credentials: Credentials, flow: Flow, *, patience: float = 60
    ) -> None:
        self._lines = lines
        self._guard = guard
        self.credentials = credentials
        self._flow = flow
        self._patience = patience
        self.whole_only: set[URL] = set()
        """Servers that gave a whole object where a part was asked for; see `parts`."""

    @property
    def direct(self) -> bool:
        """Whether no proxy is in between."""
        return self._lines.direct

    @asynccontextmanager
    async def get(
        self, name: str, address: str, headers: Mapping[str, str], turning: Turning = straight
    ) -> AsyncIterator[Answer]:
        """The last answer behind `address`, whatever its status; closed with the block.

        Raises BadUrl for forbidden addresses on the way, circles, more than 10 hops and a step from https to http;
        OriginUnavailable when nobody answers.
        """
        url, sent = self._guard.check(address), dict(headers)
        hops: tuple[Hop, ...] = ()
        while True:
            async with self.once(name, url, sent, hops) as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                target = self._target(name, answer)
            hop = Hop(url=url, headers=answer.headers)
            hops, sent, url = (*hops, hop), turning(hop, sent), target

    @asynccontextmanager
    async def once(
        self, name: str, url: URL, headers: Mapping[str, str], hops: tuple[Hop, ...] = ()
    ) -> AsyncIterator[Answer]:
        """The answer of a checked address itself, be it a redirect. Raises BadUrl and OriginUnavailable."""
        host = url.host or ""
        async with self._flow.limits.connection(host):
            await self._flow.limits.request(host)
            with translating(name, host):
                line = await self._lines.ask(url, {**OURS, **headers, **self.credentials.headers(url)}, self._patience)
            try:
                yield Answer(name, url, line, hops, headers, self._flow)
            finally:
                self._lines.leave(url, line)

    def _target(self, name: str, answer: Answer) -> URL:
        """Where a redirect leads, after every check."""
        location = answer.headers.get("Location", "")
        if not location:
            raise OriginUnavailable(host=answer.host, name=name, why="it redirects without saying where to")
        target = self._guard.check(_absolute(answer.url, location))
        why = None
        if answer.url.scheme == "https" and target.scheme != "https":
            why = "a redirect leads from https to http"
        elif target == answer.url or any(target == hop.url for hop in answer.hops):
            why = "it redirects in a circle"
        elif len(answer.hops) >= MAX_HOPS:
            why = f"it redirects more than {MAX_HOPS} times"
        if why:
            raise BadUrl(url=shown(target), why=why)
        return target


def _absolute(base: URL, location: str) -> str:
    """`Location` may be relative (RFC 9110, 10.2.2). Signed addresses must stay as they are, byte for byte."""
    try:
        target = URL(location, encoded=location.isascii())
        return location if target.absolute and target.scheme else str(base.join(target))
    except ValueError:
        raise BadUrl(url=shown(location), why="a redirect leads to what is not an address") from None


@asynccontextmanager
async def web(
    credentials: Credentials,
    *,
    allow: Iterable[str] = (),
    ca_file: str | None = None,
    proxy: str | None = None,
    timeouts: Timeouts | None = None,
    resolver: AbstractResolver | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Web]:
    """A Web for the length of a block.

    `allow` lets private hosts through (`host` or `host:port`); `ca_file` is trusted besides the system's authorities.
    The environment's proxies are ignored; `proxy` is used for everything, and then the proxy resolves names: only
    literal addresses are judged here, and keeping it out of private networks is the proxy's own business.
    Raises BadSetting for a CA file that cannot be used.
    """
    patience, limits = timeouts or Timeouts(), limits or Limits(Quotas())
    doors = [*allow, *([_door(proxy)] if proxy else [])]
    names = GuardedResolver(Guard(doors), resolver or ThreadedResolver())
    lines = Lines(Dialer(names, tls(ca_file), proxy=proxy, patience=patience.connect))
    try:
        with (
            Pump(limits, threads=PLAIN_PUMPS, silence=patience.silence) as plain,
            Pump(limits, threads=TLS_PUMPS, silence=patience.silence) as secret,
        ):
            flow = Flow(plain=plain, tls=secret, limits=limits, silence=patience.silence)
            yield Web(lines, Guard(allow), credentials, flow, patience=patience.answer)
    finally:
        lines.close()
        await names.close()


def _door(proxy: str) -> str:
    url = URL(proxy)
    return authority(url.host or "", url.port)


def tls(ca_file: str | None) -> ssl.SSLContext:
    """The system's authorities and those in `ca_file`. Raises BadSetting."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            why = f"'{ca_file}' cannot be read as certificates ({error.strerror or type(error).__name__})"
            raise BadSetting(name="The CA file", why=why, fix="Name a file of PEM certificates.") from None
    return context
