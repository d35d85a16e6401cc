"""Questions to a catalog over HTTP: politely, within bounds, and never with an empty list where there was a failure."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr
from yarl import URL

from model_manager.errors import BadRecord, CatalogUnavailable, CatalogUnreachable, NotAuthorized, NotFound
from model_manager.facts import wire
from model_manager.sources.answering import retry_after
from model_manager.sources.catalog_tags import Tags
from model_manager.sources.transport.guard import authority, shown
from model_manager.sources.transport.translating import FAULTS, reason

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes of one answer. Ten thousand records are about 5 MB."""

PER_MINUTE: Final = 90
"""Requests; the EmProps API allows 100."""

LONGEST_HOLD: Final = 60.0
"""Seconds that a 429 is waited out here; a longer wait is handed to the caller."""

_HOLDS: Final = 3
_ABSENT: Final = frozenset({404, 405, 501})
_IN_THREAD: Final = 256 * 1024
"""Bytes above which an answer is parsed beside the event loop."""

Sleep = Callable[[float], Awaitable[None]]


class Pace:
    """At most `per_minute` turns in any 60 s, and none while the other side asked for quiet."""

    def __init__(self, per_minute: int, clock: Callable[[], float], sleep: Sleep) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._turns: deque[float] = deque(maxlen=per_minute)
        self._quiet_until = float("-inf")
        self._door = asyncio.Lock()

    async def turn(self) -> None:
        """Returns when it is our turn."""
        async with self._door:
            full = len(self._turns) == self._per_minute
            until = max(self._quiet_until, self._turns[0] + 60 if full else float("-inf"))
            while (wait := until - self._clock()) > 0:
                await self._sleep(wait)
            self._turns.append(self._clock())

    def quiet(self, seconds: float) -> None:
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)


class Asking:
    """The address of a catalog, and how it is asked. The key goes only over https, and only there."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        key: SecretStr | None = None,
        *,
        per_minute: int = PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._key = key
        self._pace = Pace(per_minute, clock, sleep)
        self._parsing = asyncio.Lock()
        self._tags = Tags()

    @property
    def host(self) -> str:
        """`host:port`, for messages and to tell catalogs apart."""
        url = URL(self._base)
        return authority(url.host or "", url.port)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What is in the answer, out of its envelope and never null. None when there is no such thing, or no such route.

        Raises CatalogUnreachable, CatalogUnavailable (any other answer), NotAuthorized.
        """
        for _ in range(_HOLDS):
            await self._pace.turn()
            status, content, wait = await self._once(method, path, body)
            if status != 429:
                return self._judged(status, content, wait)
            if wait is not None and wait > LONGEST_HOLD:
                break
            self._pace.quiet(5.0 if wait is None else wait)
        raise CatalogUnavailable(host=self.host, why="it asks for fewer questions (429)", retry_after=wait)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of an answer that goes on for as long as both like it; so many seconds without a byte end it.

        Raises NotFound when this catalog has no such stream, and what `ask` raises.
        """
        await self._pace.turn()
        patience = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        sent = {**self._headers(None), "Accept": "text/event-stream", **headers}
        try:
            async with self._session.get(
                URL(self._base + path, encoded=True), headers=sent, allow_redirects=False, timeout=patience
            ) as response:
                self._insist_stream(response, path)
                yield self._pieces(response)
        except FAULTS as error:
            raise CatalogUnreachable(host=self.host, why=reason(error)) from None

    def _insist_stream(self, response: aiohttp.ClientResponse, path: str) -> None:
        """Raises NotFound, NotAuthorized, CatalogUnavailable for anything but a stream."""
        streams = response.content_type == "text/event-stream"
        if response.status in _ABSENT or (response.status < 400 and not streams):
            raise NotFound(where=f"the catalog at {self.host}", name=path)
        if response.status != 200:
            self._judged(response.status, None, retry_after(response.headers, datetime.now(UTC)))

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for piece in response.content.iter_any():
                yield piece
        except FAULTS as error:
            raise CatalogUnreachable(host=self.host, why=reason(error)) from None

    async def _once(self, method: str, path: str, body: Any) -> tuple[int, Any, float | None]:
        reading = method == "GET"
        try:
            async with self._session.request(
                method,
                URL(self._base + path, encoded=True),
                data=None if body is None else wire.dumps(body),
                headers=self._headers(body) | (self._tags.header(path) if reading else {}),
                allow_redirects=False,
            ) as response:
                wait = retry_after(response.headers, datetime.now(UTC))
                if response.status == 304 and reading and self._tags.has(path):
                    return 200, self._tags.again(path), wait
                if response.status == 200:
                    content, size = await self._content(response)
                    if reading:
                        self._tags.keep(path, response.headers.get("ETag"), content, size)
                    return 200, content, wait
                if 300 <= response.status < 400:
                    where = shown(response.headers.get("Location", "nowhere"))
                    raise self._useless(f"it redirects to {where}; write that as the catalog's address")
                return response.status, None, wait
        except FAULTS as error:
            raise CatalogUnreachable(host=self.host, why=reason(error)) from None

    def _headers(self, body: Any) -> dict[str, str]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        if self._key and self._base.lower().startswith("https://"):
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers

    async def _content(self, response: aiohttp.ClientResponse) -> tuple[Any, int]:
        """What it says, and in how many bytes."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._useless("its answer is compressed, which was not asked for")
        data = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            data += chunk
            if len(data) > MAX_BODY:
                response.close()
                raise self._useless(f"its answer is larger than {MAX_BODY} bytes")
        try:
            if len(data) > _IN_THREAD:
                async with self._parsing:  # one at a time: what is parsed takes many times its length in memory
                    return await asyncio.to_thread(wire.loads_unique, bytes(data), "the catalog's answer"), len(data)
            return wire.loads_unique(bytes(data), "the catalog's answer"), len(data)
        except BadRecord as error:
            raise self._useless(error.facts["why"]) from None

    def _judged(self, status: int, content: Any, wait: float | None) -> Any:
        if status == 200:
            return self._unwrapped(content)
        if status in _ABSENT:
            return None
        if status in (401, 403):
            why = "the catalog wants a key" if self._key is None else "the catalog does not accept the key"
            if self._key and not self._base.lower().startswith("https://"):
                why = "the catalog wants a key, which is never sent over http: use https"
            raise NotAuthorized(host=self.host, status=status, name="catalog", why=why, token="EMPROPS_API_KEY")  # noqa: S106
        raise CatalogUnavailable(host=self.host, why=f"it answered {status}", retry_after=wait)

    def _unwrapped(self, content: Any) -> Any:
        """Out of `{"data": …, "error": null}`; records of the other family come bare."""
        if isinstance(content, dict) and ("data" in content or "error" in content):
            if content.get("error"):
                raise self._useless(f"it reports an error: {wire.dumps(content['error']).decode()[:200]}")
            content = content.get("data")
        if content is None:
            raise self._useless("its answer is empty")
        return content

    def _useless(self, why: str) -> CatalogUnavailable:
        return CatalogUnavailable(host=self.host, why=why)


def quoted(name: str) -> str:
    """A name as one segment of a path, `.` and `..` and slashes included."""
    return quote(name, safe="").replace(".", "%2E") if name.strip(".") == "" else quote(name, safe="")
