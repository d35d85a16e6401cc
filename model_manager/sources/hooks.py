"""Webhooks: one POST, signed as Standard Webhooks 1.0 says, to an address that was judged like every other one.

Signature: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from model_manager.errors import BadUrl
from model_manager.sources.answering import retry_after
from model_manager.sources.transport.guard import Guard, GuardedResolver, authority, shown
from model_manager.sources.transport.translating import translating
from model_manager.sources.transport.web import tls

PREFIX: Final = "whsec_"
LEAST_KEY: Final = 24
MOST_KEY: Final = 64
"""Bytes of a key, as the specification bounds them."""

PATIENCE: Final = 15.0
"""Seconds for the whole exchange; the specification asks for 15 to 30."""

AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a receiver answered. `retry_after`: seconds that it asked for, None when it did not."""

    status: int
    retry_after: float | None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def closed(self) -> bool:
        """410: it never wants another one."""
        return self.status == 410


def new_secret() -> str:
    """A fresh one, as receivers take it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes | None:
    """The key in a secret; None when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if secret.startswith(PREFIX) and LEAST_KEY <= len(key) <= MOST_KEY else None


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`."""
    signed = b"%s.%d.%s" % (identity.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Hooks:
    """It follows no redirect and reads no body."""

    def __init__(self, session: aiohttp.ClientSession, guard: Guard, proxy: str | None) -> None:
        self._session = session
        self._guard = guard
        self._proxy = proxy

    def check(self, url: str) -> None:
        """Raises BadUrl for an address that is never asked."""
        self._guard.check(url)

    async def send(self, url: str, secret: str, identity: str, timestamp: int, body: bytes) -> Receipt:
        """Posts JSON. `timestamp`: seconds since 1970, of this attempt. Raises BadUrl and OriginUnavailable."""
        address = self._guard.check(url)
        key = key_of(secret)
        if key is None:
            raise BadUrl(url=shown(url), why="its rule has no usable secret")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "model_manager",
            "webhook-id": identity,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(key, identity, timestamp, body),
        }
        with translating("the notice", address.host or ""):
            async with self._session.post(
                address, data=body, headers=headers, allow_redirects=False, proxy=self._proxy
            ) as answer:
                return Receipt(status=answer.status, retry_after=retry_after(answer.headers, datetime.now(UTC)))


@asynccontextmanager
async def hooks(
    *,
    allow: Iterable[str] = (),
    ca_file: str | None = None,
    proxy: str | None = None,
    resolver: AbstractResolver | None = None,
    patience: float = PATIENCE,
) -> AsyncIterator[Hooks]:
    """Hooks for the length of a block. `allow` lets private hosts through, each `host` or `host:port`; `proxy` is used for
    everything, and then the proxy resolves names. Raises BadSetting for a CA file that cannot be used."""
    doors = list(allow)
    between = [authority(URL(proxy).host or "", URL(proxy).port)] if proxy else []
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(Guard([*doors, *between]), resolver or aiohttp.ThreadedResolver()),
        ssl=tls(ca_file),
        limit=AT_ONCE,
        use_dns_cache=False,
        force_close=True,
    )
    timeout = aiohttp.ClientTimeout(total=patience)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar, trust_env=False) as session:
        yield Hooks(session, Guard(doors), proxy)
