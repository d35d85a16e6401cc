"""The fleet as who listens knows it: whether a machine lives, and what it would take to serve a workflow there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.facts.identity import Pin
from model_manager.facts.shelf import ShelfPath

Liveness = Literal["live", "stale", "away"]
"""live: beats; stale: beats are overdue, or nobody can tell; away: its lease ended, or it said goodbye."""

How = Literal["fetch", "link", "verify"]
"""fetch: over the network; link: the bytes lie elsewhere on that machine; verify: it is there, and nobody judged it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A model that a workflow requires; `size` in bytes, None while the catalog does not say."""

    path: ShelfPath
    size: int | None = None
    pin: Pin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A model that a machine lacks, and `how` it would come. `size` in bytes, None while unknown."""

    folder: str
    name: str
    size: int | None
    how: How


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What it would take until a machine can serve a workflow. `bytes` would cross the network, as far as is known;
    `unknown` models of them have no known size. `fits`: whether they fit above the disk's floor, None when nobody knows."""

    missing: tuple[Missing, ...]
    bytes: int
    unknown: int
    fits: bool | None

    @property
    def nothing(self) -> bool:
        """Whether every model is there, verified."""
        return not self.missing
