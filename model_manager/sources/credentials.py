"""Which host gets which token: decided by the exact host alone, never by what a catalog says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr
from yarl import URL

from model_manager.facts.identity import TokenName
from model_manager.sources.transport.guard import authority

HOSTS: Final[Mapping[TokenName, frozenset[str]]] = MappingProxyType(
    {"HF_TOKEN": frozenset({"huggingface.co"}), "CIVITAI_TOKEN": frozenset({"civitai.com"})}
)
"""Token → the hosts it is for, each `host` (port 443) or `host:port`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """`tokens` that are set, and the `hosts` that each is for."""

    tokens: Mapping[TokenName, SecretStr] = field(default_factory=dict)
    hosts: Mapping[TokenName, frozenset[str]] = field(default_factory=lambda: HOSTS)

    def token_of(self, url: URL) -> TokenName | None:
        """The token that is meant for this address, set or not. None for http, and for every other host and port."""
        if url.scheme != "https" or not url.host:
            return None
        here = {authority(url.host, url.port)} | ({url.host} if url.port == 443 else set())
        return next((name for name, hosts in self.hosts.items() if here & hosts), None)

    def headers(self, url: URL) -> dict[str, str]:
        """The headers of a request to this one address; to be asked again at every hop."""
        name = self.token_of(url)
        secret = self.tokens.get(name) if name else None
        return {"Authorization": f"Bearer {secret.get_secret_value()}"} if secret else {}
