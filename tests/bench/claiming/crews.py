"""Workers in processes of their own, started together, and what they got done in the same seconds."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.fetching.running import ROOT, CommandFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """A program that fills a queue, and the same that works it off: the words before and after the socket's path."""

    name: str
    fill: Sequence[str]
    work: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)

    def filled(self, socket: str, count: int) -> None:
        """Adds this many jobs."""
        _ended(self._start(*self.fill, socket, str(count)))

    def worked(self, socket: str, seconds: float, hands: Sequence[int] = ()) -> float:
        """Jobs a second, all processes together. `hands`: how many workers each process has; nothing for one process."""
        counts: list[tuple[str, ...]] = [(str(number),) for number in hands] or [()]
        running = [self._start(*self.work, socket, str(seconds), *count) for count in counts]
        try:
            for process in running:
                _ready(process)
            for process in running:
                process.stdin.write("go\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
            return sum(float(_ended(process)["done"]) for process in running) / seconds
        finally:
            for process in running:
                process.kill()
                process.wait()

    def _start(self, *command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **self.env}
        )


def _ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    if process.stdout.readline().strip() != "ready":
        raise CommandFailed(_last_words(process))


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line.startswith("{"):
        raise CommandFailed(_last_words(process))
    figures: dict[str, Any] = json.loads(line)
    process.kill()
    process.communicate()
    return figures


def _last_words(process: subprocess.Popen[str]) -> str:
    process.kill()
    _, complaint = process.communicate()
    return f"{' '.join(map(str, process.args))[:100]}: {complaint.strip()[-400:] or 'it said nothing'}"  # type: ignore[arg-type]
