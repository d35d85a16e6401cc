"""`model-manager wait`: block until the models are here, then become the command that needs them."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import click

from model_manager.cli.channel import SOCKET_NAME, ask, state_directory
from model_manager.errors import AgentAway, ModelManagerError, printable

READY, TIMED_OUT, CONFIGURATION, NOT_EXECUTABLE, NOT_FOUND = 0, 75, 78, 126, 127
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds between two questions: a thousand waiting commands ask a thousand times a second at most."""
LONGEST_ANSWER: Final = 5.0
"""Seconds that one answer may take."""
SHOWN: Final = 3
"""Reasons that fit on a line; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the gate found. `wrong` = waiting alone will not mend it."""

    ready: bool
    reasons: tuple[str, ...] = ()
    wrong: bool = False

    def __str__(self) -> str:
        more = len(self.reasons) - SHOWN
        line = "; ".join(printable(reason) for reason in self.reasons[:SHOWN]) or "the agent gives no reason"
        return f"{line}; and {more} more" if more > 0 else line


class Stopped(BaseException):
    """A signal asked us to stop waiting."""

    def __init__(self, number: int) -> None:
        self.number = number


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--workflow", metavar="NAME", help="Wait for this workflow alone; default: for all that is assigned.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after this long; default: never."
)
@click.option(
    "--grace", type=click.FloatRange(min=0), default=10.0, show_default=True, metavar="SECONDS",
    help="How long a missing state directory or an unassigned workflow is waited for: everything may be starting at once.",
)  # fmt: skip
@click.option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="The agent's state directory.")
@click.argument("command_line", metavar="[-- COMMAND ...]", nargs=-1, type=click.UNPROCESSED)
def command(
    workflow: str | None, timeout: float | None, grace: float, state_dir: Path | None, command_line: tuple[str, ...]
) -> None:
    """Block until this machine is ready, then execute COMMAND in this process's place.

    \b
    Exit codes: 0 ready (without COMMAND), 75 timed out, 78 wrong configuration,
    126/127 COMMAND cannot be executed/found, 130/143 stopped by SIGINT/SIGTERM.
    """
    try:
        with _stoppable():
            state = state_directory(state_dir, os.environ)
            code = _wait(state, workflow, timeout, grace)
    except Stopped as stop:
        sys.exit(128 + stop.number)
    except ModelManagerError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    if code == READY and command_line:
        _become(command_line)
    sys.exit(code)


def _wait(state: Path, workflow: str | None, timeout: float | None, grace: float) -> int:
    """The exit code, once there is one."""
    started = time.monotonic()
    deadline = started + timeout if timeout is not None else math.inf
    right_until, said, pause = started, "", FIRST_PAUSE
    parent = os.getppid()
    while True:
        look = _look(state, workflow, deadline)
        now = time.monotonic()
        right_until = right_until if look.wrong else now
        if _orphaned(parent):
            _say("PM2's daemon is gone; leaving, so that 'pm2 resurrect' does not start the command twice")
            return TIMED_OUT
        if look.ready:
            return READY
        if look.wrong and now - right_until >= grace:
            _say(str(look))
            return CONFIGURATION
        if now >= deadline:
            _say(f"not ready after {timeout:g} s: {look}")
            return TIMED_OUT
        if str(look) != said:
            said, pause = str(look), FIRST_PAUSE
            _say(f"waiting: {said}")
        time.sleep(min(pause, max(deadline - now, 0)))
        pause = min(pause * random.uniform(1.2, 1.6), LONGEST_PAUSE)  # noqa: S311 - keeps many waiters apart, no secret


def _orphaned(parent: int) -> bool:
    # Node gives this variable to children that it supervises; whoever waits under nohup may well outlive a shell.
    return "NODE_CHANNEL_FD" in os.environ and os.getppid() != parent


def _look(state: Path, workflow: str | None, deadline: float) -> Look:
    if not os.path.isdir(state):  # unreadable is as far away as absent
        why = f"the state directory {state} does not exist; start the agent, or name its directory with --state-dir"
        return Look(ready=False, reasons=(why,), wrong=True)
    path = "/ready" if workflow is None else f"/ready/{quote(workflow, safe='')}"
    left = min(LONGEST_ANSWER, max(deadline - time.monotonic(), 0.1))
    try:
        status, answer = ask(state / SOCKET_NAME, "GET", path, timeout=left)
    except AgentAway as away:
        return Look(ready=False, reasons=(str(away),))
    if status == 404 and workflow is not None:
        why = f"the workflow '{workflow}' is not assigned to this machine; assign it, or correct the name"
        return Look(ready=False, reasons=(why,), wrong=True)
    # Both must say so: a gate that opens on half an answer is no gate.
    return Look(ready=status == 200 and answer.get("ready") is True, reasons=_reasons(status, answer))


def _reasons(status: int, answer: dict[str, Any]) -> tuple[str, ...]:
    reasons = answer.get("reasons")
    if isinstance(reasons, list) and reasons:
        return tuple(str(reason) for reason in reasons)
    return () if status in (200, 503) else (f"the agent answered {status}: {answer.get('error', '')}",)


def _become(command_line: tuple[str, ...]) -> NoReturn:
    # Python ignores these two and a new program would inherit that: ComfyUI's pipes must break as they always did.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command_line[0], command_line)  # noqa: S606 - becoming the given command is the purpose
    except (FileNotFoundError, NotADirectoryError):
        _say(f"{printable(command_line[0])}: no such command; check the path after '--'")
        sys.exit(NOT_FOUND)
    except (OSError, ValueError) as error:
        _say(f"{printable(command_line[0])} cannot be executed: {error}")
        sys.exit(NOT_EXECUTABLE)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped inside, and mean what they meant before outside."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN if before[number] is signal.SIG_IGN else signal.SIG_DFL)


def _stop(number: int, _frame: object) -> NoReturn:
    raise Stopped(number)


def _say(text: str) -> None:
    try:
        print(f"model-manager wait: {text}", file=sys.stderr, flush=True)  # noqa: T201 - standard error is the interface
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - whoever read our messages is gone; waiting goes on
