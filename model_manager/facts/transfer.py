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

    `why` is the reason of waiting or failing, safe to show; `retry_at` is ISO 8601 UTC of the next attempt.
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
