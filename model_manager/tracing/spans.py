"""What a program says of its work while it does it: spans, one within the other. Off costs nothing: there is no tracer then."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

Value = str | int | float | bool


class Span(Protocol):
    """Something that takes time."""

    def set(self, **attributes: Value) -> None:
        """What became known of it. `a_b` is told as `a.b`."""

    def child(self, name: str) -> Span:
        """A part of it, until its `end`."""

    def end(self) -> None:
        """It is over. The span of a block ends with the block."""


class Tracer(Protocol):
    def span(
        self, name: str, carrier: Mapping[str, str] | None = None, **attributes: Value
    ) -> AbstractContextManager[Span]:
        """Takes as long as its block, and is part of the span around it; or of the one that `carrier` tells, headers with W3C's
        `traceparent`. An exception that leaves the block is told as its failure."""

    def headers(self) -> Mapping[str, str]:
        """Of a request that belongs to the span around it: W3C's `traceparent`. None without a span."""

    def close(self, seconds: float) -> None:
        """Sends what waits, and takes no longer than this."""
