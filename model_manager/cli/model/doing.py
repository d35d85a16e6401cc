"""Who does it? The agent of this state directory when it answers, else the workbench in this process. Asked here only."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from model_manager.cli.channel import SOCKET_NAME, ask, state_directory
from model_manager.errors import AgentAway, Refused, Unavailable

if TYPE_CHECKING:
    from model_manager.settings import Settings
    from model_manager.workbench.bench import Workbench

A = TypeVar("A")
B = TypeVar("B")

LOG: Final = "log/model_manager.log"
STOPPED: Final = 130
"""Exit code after Ctrl-C, as shells give it."""

PATIENCE: Final = 900.0
"""Seconds that one answer may take: an import reads a whole database first."""


class Agent:
    """The agent of a state directory, which answered a moment ago."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def status(self) -> dict[str, Any]:
        """Raises AgentAway, also for what does not speak as this version does."""
        answer = ask(self._socket, "GET", "/status")[1]
        if not answer.keys() >= {"scan", "inventory", "lost_roots"}:
            raise AgentAway(socket=self._socket, why="it speaks another language; restart it with this version")
        return answer

    def get(self, path: str) -> dict[str, Any]:
        """What it answers, whether it is well or not. Raises AgentAway."""
        return ask(self._socket, "GET", path)[1]

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Refused with the agent's own words, Unavailable when it cannot now, AgentAway."""
        status, answer = ask(self._socket, "POST", path, dict(body), timeout=PATIENCE)
        if status < 400:
            return answer
        said = str(answer.get("error") or answer.get("reason") or f"The agent answered {status} to {path}.")
        raise Unavailable(what=said) if status >= 500 else Refused(what=said)


def agent_of(state_dir: Path | None) -> Agent | None:
    """The agent, if one answers."""
    socket = state_directory(state_dir, os.environ) / SOCKET_NAME
    try:
        ask(socket, "GET", "/ready")
    except AgentAway:
        return None
    return Agent(socket)


def done(
    state_dir: Path | None,
    *,
    agent: Callable[[Agent], A],
    bench: Callable[[Workbench], Awaitable[B]],
    settle: Callable[[Settings], Settings] = lambda settings: settings,
) -> A | B:
    """What the one or the other comes to. `settle` changes the settings of the workbench for this command.

    Raises what they raise; AlreadyRunning while another process has the state directory and does not answer.
    """
    if there := agent_of(state_dir):
        return agent(there)
    return _alone(state_directory(state_dir, os.environ), bench, settle)


def _alone(state: Path, work: Callable[[Workbench], Awaitable[B]], settle: Callable[[Settings], Settings]) -> B:
    import asyncio

    from model_manager import settings as configuration
    from model_manager.agent.logs import start_logs
    from model_manager.cli.model.overhearing import overheard
    from model_manager.workbench.run import workbench

    settings = settle(_in_haste(configuration.load({**os.environ, "MODEL_MANAGER_STATE_DIR": str(state)})))
    start_logs(state / LOG, settings.log_level, console=False)

    async def working() -> B:
        async with workbench(settings) as bench:
            return await work(bench)

    with _interruptible(), overheard(state / LOG):
        return asyncio.run(working())


def _in_haste(settings: Settings) -> Settings:
    """Somebody waits and nothing is served here: files are read at full speed unless a rate was set."""
    return settings if "read_rate" in settings.model_fields_set else settings.model_copy(update={"read_rate": "0"})


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends what runs in good order; a second one ends it at once. Who is deaf to it stays so."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("stopped; everything learnt so far is kept", err=True)
        sys.exit(STOPPED)
    finally:
        signal.signal(signal.SIGINT, before)
