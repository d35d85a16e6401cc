"""`model-manager wait`: block until the models are here, then become the command that needs them."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote

import click

from model_manager.cli.channel import SOCKET_NAME, ask, state_directory
from model_manager.cli.figures import until_text
from model_manager.cli.pulse import BETWEEN, Pulse
from model_manager.errors import AgentAway, ModelManagerError, printable

if TYPE_CHECKING:
    from model_manager.cli.panel import Panel

READY, TIMED_OUT, CONFIGURATION, NOT_EXECUTABLE, NOT_FOUND = 0, 75, 78, 126, 127
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds between two questions: a thousand waiting commands ask a thousand times a second at most."""
LONGEST_ANSWER: Final = 5.0
"""Seconds that one answer may take."""
SHOWN: Final = 3
"""Reasons that fit on a line; the rest is counted."""
DRAWN: Final = 0.5
"""Seconds between two drawings in a terminal."""
NOTHING: Final[dict[str, Any]] = {"total": {}, "optional": {}, "transfers": []}
REMEMBERED: Final = 1000
"""Failures that are not said a second time."""


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
        with _stoppable(), ExitStack() as stack:
            state = state_directory(state_dir, os.environ)
            code = _wait(state, workflow, timeout, grace, Voice(state / SOCKET_NAME, _panel(stack)))
    except Stopped as stop:
        sys.exit(128 + stop.number)
    except ModelManagerError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    if code == READY and command_line:
        _become(command_line)
    sys.exit(code)


def _wait(state: Path, workflow: str | None, timeout: float | None, grace: float, voice: Voice) -> int:
    """The exit code, once there is one."""
    started = time.monotonic()
    deadline = started + timeout if timeout is not None else math.inf
    right_until, pause = started, FIRST_PAUSE
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
        if voice.tell(look, now, min(LONGEST_ANSWER, max(deadline - now, 0.1))):
            pause = FIRST_PAUSE
        time.sleep(min(pause, voice.longest_pause, max(deadline - now, 0)))
        pause = min(pause * random.uniform(1.2, 1.6), LONGEST_PAUSE)  # noqa: S311 - keeps many waiters apart, no secret


class Voice:
    """Says why it waits: in a terminal as the agent's bars, elsewhere in a line now and then while something moves.

    While nothing moves, the gate's own reasons are said whenever they change.
    """

    def __init__(self, socket: Path, panel: Panel | None) -> None:
        self._socket = socket
        self._panel = panel
        self._pulse = Pulse()
        self._reasons = ""
        self._said = ""
        self._due = -math.inf
        self._troubles: dict[tuple[str, str, str], None] = {}
        self._progress: dict[str, Any] = NOTHING

    @property
    def longest_pause(self) -> float:
        return DRAWN if self._panel else LONGEST_PAUSE

    def tell(self, look: Look, now: float, patience: float) -> bool:
        """Whether the gate's reasons changed. `now` in monotonic seconds; `patience`: seconds that an answer may take."""
        changed, self._reasons = str(look) != self._reasons, str(look)
        if changed or now >= self._due:
            self._due = now + (DRAWN if self._panel else BETWEEN / 2)
            self._progress = _progress(self._socket, patience)
        if self._panel:
            self._panel.show(self._progress)
        if not _moves(self._progress):
            self._tell_reasons()
        elif not self._panel:
            self._tell_progress(now)
        return changed

    def _tell_reasons(self) -> None:
        if self._reasons != self._said:
            self._said = self._reasons
            _say(f"waiting: {self._said}")

    def _tell_progress(self, now: float) -> None:
        if line := self._pulse.line(self._progress, now):
            _say(f"waiting: {line}")
        for each in self._progress["transfers"]:
            self._tell_trouble(each)

    def _tell_trouble(self, each: dict[str, Any]) -> None:
        key = (each["folder"], each["name"], each["why"])
        if not each["why"] or key in self._troubles:
            return
        if len(self._troubles) >= REMEMBERED:
            del self._troubles[next(iter(self._troubles))]
        self._troubles[key] = None
        when = until_text(each["retry_at"], datetime.now(UTC))
        aside = f" ({when})" if when else ""
        _say(f"{each['phase']}{aside}: {printable(each['folder'])}/{printable(each['name'])}: {printable(each['why'])}")


def _panel(stack: ExitStack) -> Panel | None:
    """Bars on standard error, where they can be drawn. What draws them is imported only there: it takes a while."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return None
    from rich.console import Console

    from model_manager.cli.panel import Panel

    return stack.enter_context(Panel(Console(stderr=True, highlight=False)))


def _progress(socket: Path, patience: float) -> dict[str, Any]:
    """What the agent says of how far everything is; NOTHING when it does not."""
    try:
        status, answer = ask(socket, "GET", "/progress", timeout=patience)
    except AgentAway:
        return NOTHING
    return answer if status == 200 and answer.keys() >= NOTHING.keys() else NOTHING


def _moves(progress: dict[str, Any]) -> bool:
    return any(progress[each].get("moving") for each in ("total", "optional"))


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
