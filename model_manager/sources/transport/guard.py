"""Which addresses are never fetched: whatever a catalog or a redirect names, we do not knock at doors inside the house."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from model_manager.errors import BadUrl

_USERINFO = re.compile(r"//[^/?#]*@")
_NUMBERED = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_V4_COMPATIBLE: Final = IPv6Network("::/96")


def shown(url: URL | str) -> str:
    """An address as messages may show it: no userinfo, no query (signatures and tokens live there), no fragment."""
    return _USERINFO.sub("//", re.split(r"[?#]", str(url), maxsplit=1)[0])


def authority(host: str, port: int | None) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_at(url: str, hosts: frozenset[str]) -> bool:
    """Whether an address is at one of the hosts, each `host` (the scheme's own port) or `host:port`, exactly."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        return False
    here = {authority(host or "", port)} | ({host} if parsed.is_default_port() else set())
    return bool(here & hosts)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is on the public internet, and every address that is folded into it as well.

    Unfolds IPv4-mapped (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380) and NAT64 (RFC 6052) addresses.
    """
    if isinstance(address, IPv6Address):
        folded = _folded(address)
        if folded is not None:
            return all(map(is_public, folded))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _folded(address: IPv6Address) -> tuple[IPv4Address, ...] | None:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address in _NAT64_LOCAL:
        return (IPv4Address(0),)
    return None


class Guard:
    """`allow` lists private hosts that may be fetched from, each exactly `host` or `host:port` (mirrors, the sample)."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = frozenset(entry.strip().lower() for entry in allow)

    def allows(self, host: str, port: int | None) -> bool:
        return host.lower() in self._allow or authority(host, port).lower() in self._allow

    def check(self, text: str) -> URL:
        """The address, parsed. Raises BadUrl for other schemes, userinfo, and literal addresses that are not public."""
        url = _parsed(text)
        why = None
        if url.scheme not in ("http", "https"):
            why = "only http and https are fetched"
        elif url.user is not None or url.password is not None or "@" in url.raw_authority:
            why = "it contains a user name"
        elif not url.host or not url.host.strip(".") or ("%" in url.host and ":" not in url.host):
            why = "it names no host"
        else:
            why = self._literal(url.host, url.port)
        if why:
            raise BadUrl(url=shown(text), why=why)
        return url.with_fragment(None)

    def _literal(self, host: str, port: int | None) -> str | None:
        """What is wrong with a host that is an address in figures."""
        if self.allows(host, port):
            return None
        try:
            address = ip_address(host)
        except ValueError:
            return "its host is a number in disguise" if _NUMBERED.fullmatch(host) else None
        return None if is_public(address) else "it leads into a private network"

    def check_answer(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Raises BadUrl when a name resolves to any address that is not public (one of two is how rebinding looks)."""
        if self.allows(host, port):
            return
        if not all(is_public(ip_address(address)) for address in addresses):
            raise BadUrl(url=authority(host, port), why="its name leads into a private network")


def _parsed(text: str) -> URL:
    if not text.isprintable() or " " in text or "\\" in text:  # of all blanks only that one is printable
        raise BadUrl(url=shown(text), why="it contains blanks, control characters or a backslash")
    try:
        url = URL(text, encoded=text.isascii())
        return url if url.port != 0 else url.with_port(None)  # yarl judges a port only when it is looked at
    except ValueError:
        raise BadUrl(url=shown(text), why="it is not an address") from None


class GuardedResolver(AbstractResolver):
    """Resolves for the dialer, which connects to exactly the addresses that were checked here.

    Literal addresses are no question for a resolver: `Guard.check` has judged those before every hop.
    """

    def __init__(self, guard: Guard, inner: AbstractResolver) -> None:
        self._guard = guard
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        self._guard.check_answer(host, port, [answer["host"] for answer in answers])
        return answers

    async def close(self) -> None:
        await self._inner.close()
