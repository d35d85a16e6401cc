"""A tracer that remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from model_manager.tracing.spans import Span, Value


class Noted:
    def __init__(self, name: str, within: str = "", carrier: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.within = within
        self.carrier = carrier
        self.attributes: dict[str, Value] = {}
        self.failed = ""
        self.ended = False
        self.parts: list[Noted] = []

    def set(self, **attributes: Value) -> None:
        self.attributes |= attributes

    def child(self, name: str) -> Span:
        self.parts.append(Noted(name, self.name))
        return self.parts[-1]

    def end(self) -> None:
        self.ended = True


class Notes:
    def __init__(self) -> None:
        self.spans: list[Noted] = []
        self._open: list[Noted] = []
        self.closed = False

    @contextmanager
    def span(self, name: str, carrier: Mapping[str, str] | None = None, **attributes: Value) -> Iterator[Span]:
        made = Noted(name, self._open[-1].name if self._open else "", carrier)
        made.set(**attributes)
        self.spans.append(made)
        self._open.append(made)
        try:
            yield made
        except Exception as error:
            made.failed = type(error).__name__
            raise
        finally:
            self._open.pop()
            made.end()

    def headers(self) -> Mapping[str, str]:
        return {"traceparent": self._open[-1].name} if self._open else {}

    def close(self, seconds: float) -> None:
        self.closed = True
