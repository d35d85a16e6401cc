"""A model on its way here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model_manager.facts.identity import Digests, Pin
from model_manager.facts.shelf import ShelfPath


class Phase(StrEnum):
    QUEUED = "queued"
    RESOLVING = "resolving"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    PLACING = "placing"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Progress of one model. Bytes and bytes/s; `eta` in seconds; `total` and `eta` are None while unknown.

    While it is fetched `bytes` have arrived, over so many `connections` to `host`; while it is verified they have been
    read back. `why` is the reason of waiting or failing, safe to show; `retry_at` is ISO 8601 UTC of the next attempt.
    """

    shelf: ShelfPath
    phase: Phase = Phase.QUEUED
    bytes: int = 0
    total: int | None = None
    speed: float = 0.0
    eta: float | None = None
    attempt: int = 1
    why: str = ""
    retry_at: str = ""
    connections: int = 0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Many models together. `models` counts them all; those that are not `present` (here and verified) are `moving`,
    `queued`, `waiting` (tried again by themselves), or `failed` (refused, or tried again slowly).

    `bytes` of `total` are here; `unknown` models, whose size nobody knows yet, are in neither. `left` bytes will cross the
    network, as far as is known, at `speed` bytes/s; `eta` in seconds is None while nothing moves or nothing is left.
    """

    models: int = 0
    present: int = 0
    moving: int = 0
    queued: int = 0
    waiting: int = 0
    failed: int = 0
    bytes: int = 0
    total: int = 0
    unknown: int = 0
    left: int = 0
    speed: float = 0.0
    eta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an origin says of an object when it answers a request for its bytes.

    `size` in bytes, None when it does not say; `validator` is a strong ETag (quotes kept) or None; `promise` is a digest
    that the origin vouches for (HuggingFace's LFS id); `start` is the offset of the first byte that follows; `host` is the
    host that the bytes come from, for messages.
    """

    size: int | None
    validator: str | None
    promise: Pin | None
    start: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A complete, synced, still nameless file: its length, digests, and the offer that it was read under."""

    size: int
    digests: Digests
    promise: Pin | None
    host: str
    validator: str | None = None
    fetched: int = 0
    """Bytes that crossed the network for it in this run."""
