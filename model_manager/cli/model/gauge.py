"""How far reading is, on standard error: a line that is drawn anew in a terminal, elsewhere one now and then."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import click

from model_manager.cli.figures import part_text, speed_text, spoken_time

BETWEEN: Final = 10.0
"""Seconds between two lines where nothing can be drawn."""

WINDOW: Final = 15.0
"""Seconds over which the speed is taken: files are counted when they end."""


class Gauge:
    """Files and bytes of one kind of work, which are done and which there are, as far as is known by now."""

    def __init__(self, word: str) -> None:
        """`word`: what is done to them ("read")."""
        from rich.console import Console
        from rich.status import Status

        screen = Console(stderr=True, highlight=False)
        drawable = screen.is_terminal and not screen.is_dumb_terminal
        self._status = Status("", console=screen, spinner_style="cyan") if drawable else None
        self._word = word
        self._marks: deque[tuple[float, int]] = deque()
        self._due = time.monotonic() + BETWEEN

    def say(self, text: str) -> None:
        """What goes on while nothing can be counted. `text` is ours and plain."""
        if self._status is not None:
            self._status.update(text)

    def show(self, files: int, of_files: int, done: int, of_bytes: int) -> None:
        """`files` of `of_files` are through, `done` of `of_bytes` bytes."""
        now = time.monotonic()
        speed = self._speed(done, now)
        line = sentence(self._word, files, of_files, done, of_bytes, speed)
        if self._status is not None:
            self._status.update(line)
        elif now >= self._due:
            self._due = now + BETWEEN
            click.echo(line, err=True)

    def _speed(self, done: int, now: float) -> float:
        self._marks.append((now, done))
        while now - self._marks[0][0] > WINDOW:
            self._marks.popleft()
        then, before = self._marks[0]
        return (done - before) / (now - then) if now > then else 0.0

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._status is not None:
            with suppress(OSError):
                self._status.stop()


def sentence(word: str, files: int, of_files: int, done: int, of_bytes: int, speed: float) -> str:
    """'1,203 of 30,000 files read, 14.2 of 80.1 GB, 412 MB/s, 2 min 40 s left'."""
    parts = [f"{files:,} of {of_files:,} files {word}", part_text(done, of_bytes)]
    if speed > 0:
        parts += [speed_text(speed), f"{spoken_time((of_bytes - done) / speed)} left"]
    return ", ".join(parts)
