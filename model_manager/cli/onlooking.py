"""What a person sees of `model-manager run`: bars while models come, then where everything is and what to try."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, Final

import click
from loguru import logger
from rich.console import Console

from model_manager.agent.board import Board
from model_manager.agent.control.status import progress_answer
from model_manager.agent.holdings.shelves import Shelves
from model_manager.cli.figures import until_text
from model_manager.cli.panel import Panel
from model_manager.cli.pulse import Pulse
from model_manager.errors import printable
from model_manager.facts.event import (
    AssignmentChanged,
    DownloadFailed,
    DownloadVerified,
    Event,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    ReadinessChanged,
    RootBack,
    RootLost,
)
from model_manager.settings import Settings

LOOK: Final = 0.25
"""Seconds between two looks at the board."""

REMEMBERED: Final = 1000
"""Failures of which it is known how often they came."""

AT_ONCE: Final = 5
"""Failures of one look that get a line each."""


class Onlooker:
    """In a terminal: bars and one line an event. Elsewhere: the log says it, and the guide is printed once."""

    def __init__(self, settings: Settings, *, demo: bool, terminal: bool) -> None:
        self._settings = settings
        self._demo = demo
        self._terminal = terminal
        self._console = Console(stderr=True, highlight=False)
        self._was_ready = False
        self._repeated: dict[tuple[str, str, str], int] = {}
        self._failures = 0

    async def look(self, board: Board, shelves: Shelves) -> None:
        if not self._terminal:
            await self._look_from_afar(board)
            return
        self._say(f"model_manager on machine {board.machine_id}, models in {self._settings.own_root.path}")
        with shelves.listening() as queue, Panel(self._console) as panel:
            guided = False
            while True:
                await asyncio.sleep(LOOK)
                while not queue.empty():
                    self._tell([envelope.event for envelope in queue.get_nowait()])
                self._tell_unsaid()
                progress = progress_answer(board)
                panel.show(progress)
                if board.readiness.ready and not guided and not progress["transfers"]:
                    guided = True
                    self._guide(board)

    async def _look_from_afar(self, board: Board) -> None:
        """A line of the log now and then while something moves; the guide once it is ready."""
        pulse, guided = Pulse(), not self._demo
        while True:
            await asyncio.sleep(LOOK)
            if line := pulse.line(progress_answer(board), board.clock.monotonic()):
                logger.info(line)
            if board.readiness.ready and not guided:
                guided = True
                self._guide(board)

    def _tell(self, events: list[Event]) -> None:
        """One change, a line each; what was fetched appeared anyway, and nobody wants to hear of a gate not yet opened."""
        fetched = any(isinstance(event, DownloadVerified) for event in events)
        for event in events:
            if isinstance(event, ReadinessChanged):
                quiet, self._was_ready = not (event.ready or self._was_ready), event.ready
            elif isinstance(event, DownloadFailed):
                self._tell_failure(event)
                quiet = True
            else:
                quiet = fetched and isinstance(event, ModelAppeared)
            if not quiet and (line := _line(event)):
                self._say(line[1], line[0])

    def _tell_failure(self, event: DownloadFailed) -> None:
        """A reason that comes again is counted, and said again at the 2nd, 4th, 8th … time."""
        key = (event.folder, event.name, event.reason)
        times = self._repeated.pop(key, 0) + 1
        self._repeated[key] = times
        if len(self._repeated) > REMEMBERED:
            del self._repeated[next(iter(self._repeated))]
        if times & (times - 1) == 0:
            self._failures += 1
            if self._failures <= AT_ONCE:
                self._say(failure_text(event, times, datetime.now(UTC)), "red" if event.final else "yellow")

    def _tell_unsaid(self) -> None:
        """A host that goes away breaks off every download at once."""
        if self._failures > AT_ONCE:
            self._say(f"and {self._failures - AT_ONCE} more downloads broke off; 'status' says why", "yellow")
        self._failures = 0

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(printable(text, 400), style=style, markup=False, soft_wrap=True)

    def _guide(self, board: Board) -> None:
        state, store = self._settings.state, self._settings.own_root.path
        redis = (
            "embedded: unix://" + str(state / "redis" / "valkey.sock") if not self._settings.redis_url else "REDIS_URL"
        )
        first = next(iter(board.requirements.wanted), None) if board.requirements else None
        program = sys.argv[0]
        sample = f"{store}/{first.model.path}" if first else f"{store}/<folder>/<file>"
        lines = [
            "",
            f"  ready    {board.readiness.present} of {board.readiness.required} required models are here and verified",
            f"  socket   {state / 'control.sock'}",
            f"  log      {state / 'log' / 'model_manager.log'}",
            f"  stream   {self._settings.redis_prefix}model_manager:events on {redis}",
            "",
            "  Try, in another terminal:",
            f"    export MODEL_MANAGER_STATE_DIR={state}",
            f"    {program} status              what is here, and why",
            f"    {program} events --follow     what happens, as it happens",
            f"    rm {sample}",
            "                                                the gate closes, the model comes back",
            f"    cp {sample} {store}/loras/mine.safetensors",
            "                                                a model of yours joins the inventory",
            f"    edit {state / 'assignment.json'}",
            "                                                another workflow, other models; taken up at once",
            f"    {program} wait -- echo go     how ComfyUI and the workers start",
            "",
        ]
        for line in lines:
            click.echo(line, err=True) if not self._terminal else self._say(line)


def failure_text(event: DownloadFailed, times: int, now: datetime) -> str:
    """Why a download broke off, and when it is tried again."""
    when = until_text(event.retry_at, now)
    word = "failed" if event.final else "waiting"
    aside = ", ".join(filter(None, (when, f"{times} times so far" if times > 1 else "")))
    return f"{word:<8}  {event.folder}/{event.name}{f' ({aside})' if aside else ''}: {event.reason}"


def _line(event: Event) -> tuple[str | None, str] | None:
    """What a person is told of an event, with its style."""
    match event:
        case ReadinessChanged(ready=True):
            return "bold green", "ready: the gate is open"
        case ReadinessChanged(reasons=reasons):
            return "yellow", f"not ready: {_some(reasons)}"
        case AssignmentChanged(workflows=workflows, required=required, problems=problems):
            said = f"assignment: {_some(workflows) or 'nothing'} needs {required} models"
            return ("yellow", f"{said}; {_some(problems)}") if problems else (None, said)
        case DownloadVerified(folder=folder, name=name, size=size, seconds=seconds):
            return None, f"verified  {folder}/{name}  {size / 1e6:.1f} MB in {seconds:.1f} s"
        case ModelAppeared(models=models) | ModelVanished(models=models):
            word = "appeared" if isinstance(event, ModelAppeared) else "vanished"
            return None, f"{word}  {_some([f'{model.folder}/{model.name}' for model in models])}"
        case ModelChanged():
            return None
        case RootLost(root=root, why=why):
            return "red", f"models directory away: {root}: {why}"
        case RootBack(root=root):
            return "green", f"models directory back: {root}"
        case _:
            return None


def _some(items: Any, shown: int = 4) -> str:
    items = list(items)
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(map(str, items[:shown])) + more
