"""How much is allowed: of everything together, of any one host, and of hosts by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from model_manager.errors import BadSetting

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_AMOUNT = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?P<unit>[kmg]i?)?b?(?:/s)?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_.:\[\]-]{1,260}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Limits in one unit (bytes/s, connections, requests a minute); None is no limit.

    `total` is for all hosts together, `each` for any one host, `hosts` for those named, in place of `each`.
    The names of hosts are in lower case.
    """

    total: int | None = None
    each: int | None = None
    hosts: Mapping[str, int | None] = field(default_factory=dict)

    def of(self, host: str) -> int | None:
        """What one host may take; a host without an entry of its own gets `each`."""
        return self.hosts.get(host.lower(), self.each)

    @classmethod
    def parse(cls, text: str, name: str) -> Quota:
        """`200MB`, `*=50MB,civitai.com=10MB`: a bare amount is the total, `*` any one host. Amounts take k, M, G, Ki, Mi, Gi.

        0 is no limit, also for a named host where any one host has one. Raises BadSetting, which calls the setting `name`.
        """
        limits: dict[str | None, int | None] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            host, named, amount = item.rpartition("=")
            key = _host(host, name) if named else None
            if key in limits:
                raise _unclear(name, f"'{host.strip() or 'the total'}' has two limits")
            limits[key] = _amount(amount.strip(), name)
        total, each = limits.pop(None, None), limits.pop("*", None)
        return cls(total=total, each=each, hosts={host: value for host, value in limits.items() if host is not None})


def _host(text: str, name: str) -> str:
    host = text.strip().lower()
    if host != "*" and not _HOST.fullmatch(host):
        raise _unclear(name, f"'{text.strip()}' is no host")
    return host


def _amount(text: str, name: str) -> int | None:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise _unclear(name, f"'{text}' is no amount")
    exact = float(found["number"]) * _UNITS[(found["unit"] or "").lower()]
    return max(1, round(exact)) if exact else None


def _unclear(name: str, why: str) -> BadSetting:
    return BadSetting(name=name, why=why, fix="Write for example 200MB, or *=50MB,civitai.com=10MB; 0 = no limit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """What downloads may take: bytes per second, connections at once, requests a minute."""

    rate: Quota = field(default_factory=Quota)
    connections: Quota = field(default_factory=lambda: Quota(each=16))
    requests: Quota = field(default_factory=Quota)
