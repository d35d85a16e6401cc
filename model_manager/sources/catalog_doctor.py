"""The doctor of a catalog, asked from afar: `GET /doctor`, and `POST`, `DELETE` with a writer's token (docs/catalog.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from pydantic import SecretStr
from yarl import URL

from model_manager.errors import (
    BadRecord,
    CatalogUnavailable,
    CatalogUnreachable,
    NotAuthorized,
    NotFound,
    StrangeAnswer,
)
from model_manager.facts import wire
from model_manager.sources.answering import retry_after
from model_manager.sources.transport.guard import authority
from model_manager.sources.transport.translating import FAULTS, reason
from model_manager.sources.transport.web import tls

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes of one page of findings."""

ROUTE: Final = "doctor"

_ABSENT: Final = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Told:
    """What the catalog said. `busy`: a check-up goes on already, or none does."""

    body: Mapping[str, Any]
    busy: bool = False


class CatalogDoctor:
    """The key goes to the catalog alone, and only over https or to this very machine."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: SecretStr | None) -> None:
        self._session = session
        self._base = URL(base_url.rstrip("/"))
        self._key = key

    @property
    def host(self) -> str:
        return authority(self._base.host or "", self._base.port)

    async def report(self, query: Mapping[str, str]) -> Told:
        """A page of what it found. Raises NotFound when this catalog has no doctor, CatalogUnreachable, CatalogUnavailable,
        NotAuthorized, StrangeAnswer."""
        return await self._ask("GET", query)

    async def begin(self, query: Mapping[str, str]) -> Told:
        return await self._ask("POST", query)

    async def stop(self) -> Told:
        return await self._ask("DELETE", {})

    async def _ask(self, method: str, query: Mapping[str, str]) -> Told:
        try:
            async with self._session.request(
                method, self._base / ROUTE, params=query, headers=self._headers(), allow_redirects=False
            ) as response:
                return await self._told(response, method)
        except FAULTS as error:
            raise CatalogUnreachable(host=self.host, why=reason(error)) from None

    def _headers(self) -> dict[str, str]:
        local = self._base.host in ("127.0.0.1", "::1", "localhost")
        if self._key and (self._base.scheme == "https" or local):
            return {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        return {}

    async def _told(self, response: aiohttp.ClientResponse, method: str) -> Told:
        status = response.status
        if status == 409 or (method == "DELETE" and status == 404 and response.content_type == "application/json"):
            return Told({}, busy=True)
        if status in _ABSENT:
            raise NotFound(where=f"the catalog at {self.host}", name=f"{method} /{ROUTE}")
        if status in (401, 403):
            raise self._unauthorized(status)
        if status not in (200, 202):
            wait = retry_after(response.headers, datetime.now(UTC))
            raise CatalogUnavailable(host=self.host, why=f"it answered {status}", retry_after=wait)
        return Told(await self._content(response))

    def _unauthorized(self, status: int) -> NotAuthorized:
        why = "the catalog wants a writer's token" if self._key is None else "the catalog does not take the token"
        if self._key and not self._headers():
            why = "the catalog wants a writer's token, which is never sent over http: use https"
        return NotAuthorized(host=self.host, status=status, name="doctor", why=why, token="EMPROPS_API_KEY")  # noqa: S106

    async def _content(self, response: aiohttp.ClientResponse) -> Mapping[str, Any]:
        data = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise self._strange(f"its answer is larger than {MAX_ANSWER} bytes")
        try:
            content = wire.loads(bytes(data), "the doctor's answer")
        except BadRecord as error:
            raise self._strange(error.facts["why"]) from None
        body = content.get("data") if isinstance(content, dict) else None
        if not isinstance(body, dict):
            raise self._strange("it is no report")
        return body

    def _strange(self, why: str) -> StrangeAnswer:
        return StrangeAnswer(host=self.host, name=f"/{ROUTE}", why=why)


@asynccontextmanager
async def catalog_doctor_at(
    base_url: str, key: SecretStr | None = None, *, ca_file: str | None = None
) -> AsyncIterator[CatalogDoctor]:
    """A client for the length of a block. Raises BadSetting for a CA file that cannot be used."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls(ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": "model_manager", "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=20, sock_connect=5),
    ) as session:
        yield CatalogDoctor(session, base_url, key)
