"""Where a model that is not here could come from, and what speaks for each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from model_manager.facts.identity import Pin, TokenName

Teller = Literal["workflow", "manifest", "catalog", "index", "huggingface", "civitai"]
"""Who names the place: the workflow itself, the environment's manifest, the catalog, our own index, or a search."""

Weight = Literal["proven", "told", "likely", "guess"]
"""`proven`: it says the promised hash of this file. `told`: who needs the model, or who keeps it for us, says so. `likely`: name
and size agree. `guess`: only the name does. A guess is never taken without being asked about."""

WEIGHTS: Final[tuple[Weight, ...]] = ("proven", "told", "likely", "guess")


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """A file that a search found. `name` is its own, `title` of what it belongs to; `size` in bytes; `pin` what the service says
    its hash is."""

    teller: Teller
    url: str
    name: str
    title: str = ""
    size: int | None = None
    pin: Pin | None = None
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place where a model could be had, how much speaks for it, and what. `pin` and `size` are what is promised there."""

    url: str
    teller: Teller
    weight: Weight
    why: str
    pin: Pin | None = None
    size: int | None = None
    token: TokenName | None = None
    gated: bool = False
