"""Runs commands side by side and says what they cost."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

LOOK: Final = 20
"""Milliseconds between two looks at the memory of what runs."""

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Seconds of wall time, seconds of user and system time, bytes of resident memory at most, seconds of loop lag and of an idle
    process beside it, processor seconds that the machine below took; `spans`: what the seconds were spent on, as far as the
    program says so."""

    seconds: float
    cpu: float
    memory: int
    lag: float = 0.0
    beside: float = 0.0
    stolen: float = 0.0
    spans: Mapping[str, float] = field(default_factory=dict)

    def then(self, next: Run) -> Run:
        """Both after each other."""
        return Run(
            seconds=self.seconds + next.seconds,
            cpu=self.cpu + next.cpu,
            memory=max(self.memory, next.memory),
            lag=max(self.lag, next.lag),
            beside=max(self.beside, next.beside),
            stolen=self.stolen + next.stolen,
        )


class CommandFailed(Exception):
    """A contender did not do its work."""


def run(*commands: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[Run, list[str]]:
    """All commands at once, until the last has ended, and what each wrote to its standard output.

    A command that writes one JSON object with `seconds` and `cpu` has measured itself: a program in Python is not charged
    for its start. Raises CommandFailed with what the command wrote to its standard error.
    """
    with ExitStack() as stack:
        files = [
            (stack.enter_context(tempfile.TemporaryFile()), stack.enter_context(tempfile.TemporaryFile()))
            for _ in commands
        ]
        begun = time.monotonic()
        running = [
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(env or {})}
            )
            for command, (out, err) in zip(commands, files, strict=True)
        ]
        memory = _watch(running)
        seconds = time.monotonic() - begun
        cpu = sum(_reap(process, err) for process, (_, err) in zip(running, files, strict=True))
        said = [_read(out) for out, _ in files]
    return _own_figures(said, Run(seconds=seconds, cpu=cpu, memory=memory)), said


def _own_figures(said: list[str], seen: Run) -> Run:
    if len(said) != 1 or not said[0].startswith("{"):
        return seen
    own = json.loads(said[0])
    return Run(
        seconds=own["seconds"],
        cpu=own["cpu"],
        memory=seen.memory,
        lag=own.get("lag", 0.0),
        beside=own.get("beside", 0.0),
        stolen=own.get("stolen", 0.0),
        spans=own.get("spans", {}),
    )


def _watch(running: Sequence[subprocess.Popen[bytes]]) -> int:
    """Until all have ended (unreaped); the sum of their peaks. The kernel's ru_maxrss would count our own before exec."""
    poll = select.poll()
    alive = {os.pidfd_open(process.pid): process.pid for process in running}
    peaks: dict[int, int] = {}
    for descriptor in alive:
        poll.register(descriptor, select.POLLIN)
    while alive:
        for pid in alive.values():
            peaks[pid] = max(peaks.get(pid, 0), peak_of(pid))
        for descriptor, _ in poll.poll(LOOK):
            poll.unregister(descriptor)
            os.close(descriptor)
            del alive[descriptor]
    return sum(peaks.values())


def peak_of(pid: int | str) -> int:
    """Bytes of resident memory that a process had at most since its exec; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _reap(process: subprocess.Popen[bytes], err: IO[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        command = process.args if isinstance(process.args, str) else " ".join(map(str, process.args))  # type: ignore[arg-type]
        raise CommandFailed(f"{command[:300]} ended with {process.returncode}: {_read(err)[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
