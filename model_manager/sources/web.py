"""The client under every http origin: guarded, without cookies, proxies of the environment or silent redirects."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from model_manager.errors import BadSetting, BadUrl, ModelManagerError, OriginUnavailable
from model_manager.sources.credentials import Credentials
from model_manager.sources.guard import Guard, GuardedResolver, authority, shown
from model_manager.sources.translating import translating

CHUNK: Final = 1 << 20
"""Bytes that are read and handed on at once."""

MAX_HOPS: Final = 10
MAX_FIELD: Final = 8190
MAX_FIELDS: Final = 128
"""Redirects; bytes of one header or trailer line; lines of headers and trailers together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: until a connection stands, of silence while reading, and until an answer's headers are complete.

    There is no limit on the whole: a large model may take hours. Whoever reads watches the speed.
    """

    connect: float = 20
    silence: float = 30
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


class Answer:
    """An answer whose body has not been read. `sent` are the request's headers without tokens."""

    def __init__(
        self, name: str, response: aiohttp.ClientResponse, hops: tuple[Hop, ...], sent: Mapping[str, str]
    ) -> None:
        self._name = name
        self._response = response
        self.hops = hops
        self.sent = sent
        self.url = response.url
        self.host = response.url.host or ""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def moved(self) -> bool:
        """Whether another host (or scheme, or port) answers than the one that was asked."""
        return bool(self.hops) and self.hops[0].url.origin() != self.url.origin()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; all that came, and then OriginUnavailable, when the connection breaks."""
        while True:
            broken: ModelManagerError | None = None
            try:
                with translating(self._name, self.host):
                    chunk = await self._response.content.read(CHUNK)
            except ModelManagerError as error:
                broken, chunk = error, _arrived(self._response.content)
            for at in range(0, len(chunk), CHUNK):
                yield chunk[at : at + CHUNK]
            if broken:
                raise broken
            if not chunk:
                return


def _arrived(content: aiohttp.StreamReader) -> bytes:
    """What came before a connection broke: aiohttp has it still, and gives it to nobody while the failure stands."""
    content.set_exception(None)  # type: ignore[arg-type]
    return content.read_nowait()


class Web:
    """GET, hop by hop: each address is checked, and each gets only the token that is its own.

    `patience`: seconds until an answer's headers must be complete.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        guard: Guard,
        credentials: Credentials,
        *,
        proxy: str | None = None,
        patience: float = 60,
    ) -> None:
        self._session = session
        self._guard = guard
        self.credentials = credentials
        self._proxy = proxy
        self._patience = patience

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
            response = await self._request(name, url, sent)
            try:
                if response.status not in (301, 302, 303, 307, 308):
                    yield Answer(name, response, hops, sent)
                    return
                target = self._target(name, response, hops)
            finally:
                _leave(response)
            hop = Hop(url=url, headers=response.headers)
            hops, sent, url = (*hops, hop), turning(hop, sent), target

    async def _request(self, name: str, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        with translating(name, url.host or ""):
            async with asyncio.timeout(self._patience):
                return await self._session.get(
                    url,
                    headers={**headers, **self.credentials.headers(url)},
                    allow_redirects=False,
                    proxy=self._proxy,
                )

    def _target(self, name: str, response: aiohttp.ClientResponse, hops: tuple[Hop, ...]) -> URL:
        """Where a redirect leads, after every check."""
        location = response.headers.get("Location", "")
        if not location:
            raise OriginUnavailable(host=response.url.host, name=name, why="it redirects without saying where to")
        target = self._guard.check(_absolute(response.url, location))
        why = None
        if response.url.scheme == "https" and target.scheme != "https":
            why = "a redirect leads from https to http"
        elif target == response.url or any(target == hop.url for hop in hops):
            why = "it redirects in a circle"
        elif len(hops) >= MAX_HOPS:
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


def _leave(response: aiohttp.ClientResponse) -> None:
    """Keep the connection if the body was read to its end, else close it at once: nothing unread is worth reading."""
    if response.content.is_eof():
        response.release()
    else:
        response.close()


@asynccontextmanager
async def web(
    credentials: Credentials,
    *,
    allow: Iterable[str] = (),
    ca_file: str | None = None,
    proxy: str | None = None,
    timeouts: Timeouts | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[Web]:
    """A Web for the length of a block.

    `allow` lets private hosts through (`host` or `host:port`); `ca_file` is trusted besides the system's authorities.
    The environment's proxies are ignored; `proxy` is used for everything, and then the proxy resolves names: only
    literal addresses are judged here, and keeping it out of private networks is the proxy's own business.
    Raises BadSetting for a CA file that cannot be used.
    """
    limits = timeouts or Timeouts()
    doors = [*allow, *([_door(proxy)] if proxy else [])]
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=GuardedResolver(Guard(doors), resolver or aiohttp.ThreadedResolver()),
            ssl=tls(ca_file),
            limit=0,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "model_manager", "Accept": "*/*", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.silence),
        read_bufsize=CHUNK,
        max_line_size=MAX_FIELD,
        max_field_size=MAX_FIELD,
        max_headers=MAX_FIELDS,
    ) as session:
        yield Web(session, Guard(allow), credentials, proxy=proxy, patience=limits.answer)


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
