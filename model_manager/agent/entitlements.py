"""Which tokens this machine has, and who may see them."""

from __future__ import annotations

from pydantic import SecretStr

from model_manager.facts.identity import TokenName
from model_manager.settings import Settings


def tokens(settings: Settings) -> dict[TokenName, SecretStr]:
    """Those that are set."""
    found: dict[TokenName, SecretStr | None] = {"HF_TOKEN": settings.hf_token, "CIVITAI_TOKEN": settings.civitai_token}
    return {name: token for name, token in found.items() if token}


def hosts(settings: Settings) -> dict[TokenName, frozenset[str]]:
    """Token → hosts that it is sent to."""
    return {"HF_TOKEN": frozenset(settings.hf_hosts), "CIVITAI_TOKEN": frozenset(settings.civitai_hosts)}
