"""A sentence now and then, where there is no terminal to draw in. No imports but our own, so that commands start fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model_manager.cli.figures import total_text

BETWEEN: Final = 10.0
"""Seconds between two lines."""


class Pulse:
    """A sentence about every ten seconds while something moves, and none that says nothing new."""

    def __init__(self) -> None:
        self._due = 0.0
        self._said = ""

    def line(self, progress: Mapping[str, Any], now: float) -> str:
        """What is to be said now (`now` in seconds), or nothing."""
        kind = "total" if progress["total"]["present"] < progress["total"]["models"] else "optional"
        total = progress[kind]
        if not progress["transfers"] or not total["models"]:
            self._due = now + BETWEEN
            return ""
        line = total_text(total) + (" (optional)" if kind == "optional" else "")
        if now < self._due or line == self._said:
            return ""
        self._due, self._said = now + BETWEEN, line
        return line
