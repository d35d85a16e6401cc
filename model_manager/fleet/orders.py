"""What the fleet's HTTP API answers of orders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """The order as it was handed to these machines. `GET /orders/{order}` says what became of it."""

    order: str
    what: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """What a machine last said of an order: waiting (nothing yet), begun, done, refused, or dropped because it came too
    late. `files` that it concerns; `why` is what was found, or why not; `at` is ISO 8601 UTC, empty while it waits."""

    machine_id: str
    state: str
    files: int
    why: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """What became of an order: machines in each state, and each of them. Of an order that was given elsewhere only those
    are known that answered."""

    order: str
    what: str
    files: tuple[str, ...]
    counts: dict[str, int]
    items: tuple[OrderAnswer, ...]
    next: str | None
    total: int
