"""The lines at the bottom of a terminal that say how far everything is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live

from model_manager.cli.drawing import drawn
from model_manager.cli.pulse import Pulse


class Panel:
    """Lines that are drawn anew in their place while the block runs, below whatever the console prints meanwhile.

    Where nothing can be drawn anew (a pipe, a dumb terminal) a line is printed now and then.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if can_draw(console) else None
        self._pulse = Pulse()
        self._gone = False

    def show(self, progress: Mapping[str, Any]) -> None:
        try:
            self._draw(progress)
        except OSError:
            self._gone = True  # what we wait for is not

    def _draw(self, progress: Mapping[str, Any]) -> None:
        if self._gone:
            return
        if self._live is not None:
            lines = drawn(progress, *self._console.size, datetime.now(UTC))
            for line in lines:
                line.no_wrap = True
            self._live.update(Group(*lines), refresh=True)
        elif sentence := self._pulse.line(progress, time.monotonic()):
            self._console.print(sentence, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()


def can_draw(console: Console) -> bool:
    """Whether lines of it can be drawn anew."""
    return console.is_terminal and not console.is_dumb_terminal
