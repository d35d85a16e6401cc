"""Where the primary is that has our keys, when that may change: Sentinels know it, or the nodes of a Cluster do.

Every key of ours is in one slot, so that of a Cluster, too, only one server at a time is ours, and MULTI, functions and blocking
reads work as anywhere. It is looked for before each connection, and again after an answer that says it is another one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.crc import key_slot

Address = tuple[str, int]

SOUGHT: Final = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
"""Schemes of such addresses."""

SENTINEL_PORT: Final = 26379
CLUSTER_PORT: Final = 6379

_TAGGED = re.compile(r"[^{]*\{[^}]+\}")
_ELSEWHERE: Final = (
    exceptions.AskError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)


class Locate(Protocol):
    """Raises what redis-py raises when nobody knows."""

    async def __call__(self) -> Address: ...


def located(scheme: str, url: str, prefix: str, options: dict[str, Any]) -> Redis:
    """A client of `redis+sentinel://[user:password@]host:port,…/service[/db]` or `redis+cluster://[user:password@]host:port,…`;
    `rediss+…` speaks TLS. What asks Sentinels for their own password has `?sentinel_username=` and `sentinel_password=`.

    `options` go to every connection. Raises ValueError for an address of another shape, or a prefix that is not in braces.
    """
    plain, kind = scheme.split("+")
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    one = urlunsplit((plain, f"{userinfo}@host", "", parts.query, ""))
    given: dict[str, Any] = {name: value for name, value in parse_url(one).items() if name != "host"}
    secure = given.pop("connection_class", None) is not None
    asking = _asking(given, secure, kind, options)
    locate: Locate
    if kind == "sentinel":
        service, given["db"] = _service(parts.path)
        locate = _Sentinels(_addresses(hosts, SENTINEL_PORT), service, asking)
    else:
        locate = _Cluster(_addresses(hosts, CLUSTER_PORT), _slot(parts.path, prefix), asking)
    return sought(locate, given | options, secure=secure)


def sought(locate: Locate, options: dict[str, Any], *, secure: bool = False) -> Redis:
    """A client of whichever server `locate` names; `options` go to every connection."""
    return Redis.from_pool(
        ConnectionPool(connection_class=_SeekingTLS if secure else _Seeking, locate=locate, **options)
    )


def _asking(given: dict[str, Any], secure: bool, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """How those are spoken to who know. Sentinels have users of their own, or none."""
    own = {name: given.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    credentials = own if kind == "sentinel" else {name: given.get(name) for name in ("username", "password")}
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
    return {**tls, **options, **credentials, "ssl": secure}


def _service(path: str) -> tuple[str, int]:
    service, _, db = path.strip("/").partition("/")
    if not service:
        raise ValueError("the service is missing: …/SERVICE")
    return service, int(db or 0)


def _slot(path: str, prefix: str) -> int:
    if path.strip("/") not in ("", "0"):
        raise ValueError("a Cluster has no databases")
    if not _TAGGED.match(prefix):
        raise UntaggedPrefix
    return key_slot(prefix.encode())


class UntaggedPrefix(ValueError):
    """The keys would be in many slots."""


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    found = []
    for each in hosts.split(","):
        parts = urlsplit(f"//{each}")
        if not parts.hostname:
            raise ValueError("a host is missing")
        found.append((parts.hostname, parts.port or port))
    return tuple(found)


async def _first(
    addresses: Sequence[Address], ask: Callable[[Address], Awaitable[Address | None]], what: str
) -> Address:
    """What the first of them says who knows."""
    last: Exception | None = None
    for each in addresses:
        try:
            if (found := await ask(each)) is not None:
                return found
        except (exceptions.RedisError, OSError) as error:
            last = error
    if last is not None:
        raise last
    raise exceptions.ConnectionError(what)


class _Sentinels:
    """redis.io/docs/latest/develop/reference/sentinel-clients: who answered is asked first the next time."""

    def __init__(self, addresses: Sequence[Address], service: str, options: dict[str, Any]) -> None:
        self._addresses = list(addresses)
        self._service = service
        self._options = options

    async def __call__(self) -> Address:
        return await _first(
            tuple(self._addresses), self._asked, f"no Sentinel knows a primary of the service '{self._service}'"
        )

    async def _asked(self, address: Address) -> Address | None:
        found = await _answer(address, self._options, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        if not found:
            return None
        self._addresses.sort(key=address.__ne__)
        return found[0].decode(), int(found[1])


class _Cluster:
    """CLUSTER SLOTS: every node knows them. Those that it names are asked, too, when the ones of the address are gone."""

    def __init__(self, addresses: Sequence[Address], slot: int, options: dict[str, Any]) -> None:
        self._addresses = list(addresses)
        self._slot = slot
        self._options = options

    async def __call__(self) -> Address:
        return await _first(tuple(self._addresses), self._asked, "no node of the Cluster knows who has our slot")

    async def _asked(self, address: Address) -> Address | None:
        ranges = await _answer(address, self._options, "CLUSTER", "SLOTS")
        found = None
        for first, last, *nodes in ranges:
            there = [(_host(node[0], address), int(node[1])) for node in nodes]
            self._addresses += [each for each in there if each not in self._addresses]
            if first <= self._slot <= last:
                found = there[0]
        return found


def _host(name: bytes | None, asked: Address) -> str:
    """A node that does not know its own name is reached as it was asked."""
    text = (name or b"").decode()
    return asked[0] if text in ("", "?") else text


async def _answer(address: Address, options: dict[str, Any], *command: str) -> Any:
    client: Any = Redis(host=address[0], port=address[1], **options)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()


class _Sought:
    """A connection that asks where it leads before it is made, and ends when it leads to the wrong one."""

    def __init__(self, *, locate: Locate, **options: Any) -> None:
        super().__init__(**options)
        self._locate = locate

    async def connect(self: Any) -> None:
        if not self.is_connected:
            self.host, self.port = await self._locate()
        await super().connect()  # type: ignore[misc]

    async def read_response(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)  # type: ignore[misc]
        except _ELSEWHERE as error:
            await self.disconnect()
            raise exceptions.ConnectionError(f"the primary is another one now ({type(error).__name__})") from None


class _Seeking(_Sought, Connection):
    pass


class _SeekingTLS(_Sought, SSLConnection):
    pass
