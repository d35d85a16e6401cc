"""What a person sees of `model-manager run`: bars while models come, then where everything is and what to try."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from model_manager.agent.board import Board
from model_manager.agent.shelves import Shelves
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
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase
from model_manager.settings import Settings

LOOK: Final = 0.1
"""Seconds between two looks at the board."""


class Onlooker:
    """In a terminal: bars and one line an event. Elsewhere: the log says it, and the guide is printed once."""

    def __init__(self, settings: Settings, *, demo: bool, terminal: bool) -> None:
        self._settings = settings
        self._demo = demo
        self._terminal = terminal
        self._console = Console(stderr=True, highlight=False)
        self._was_ready = False
        self._bars: dict[ShelfPath, TaskID] = {}
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[phase]}", markup=False),
            console=self._console,
            transient=True,
        )

    async def look(self, board: Board, shelves: Shelves) -> None:
        if not self._terminal:
            await self._wait_for_ready(board)
            return
        self._say(f"model_manager on machine {board.machine_id}, models in {self._settings.own_root.path}")
        with shelves.listening() as queue, self._progress:
            guided = False
            while True:
                await asyncio.sleep(LOOK)
                while not queue.empty():
                    self._tell([envelope.event for envelope in queue.get_nowait()])
                self._draw(board)
                if board.readiness.ready and not guided and not self._bars:
                    guided = True
                    self._guide(board)

    async def _wait_for_ready(self, board: Board) -> None:
        while not board.readiness.ready:  # noqa: ASYNC110 - the board has one bell a loop, and none for lookers-on
            await asyncio.sleep(LOOK)
        if self._demo:
            self._guide(board)

    def _draw(self, board: Board) -> None:
        moving = {path: t for path, t in board.transfers.items() if t.phase not in (Phase.QUEUED, Phase.DONE)}
        for path in self._bars.keys() - moving.keys():
            self._progress.remove_task(self._bars.pop(path))
        for path, transfer in moving.items():
            if path not in self._bars:
                self._bars[path] = self._progress.add_task(f"{printable(path, 44):<44}", total=None, phase="")
            why = f"{transfer.phase}: {transfer.why}" if transfer.why else str(transfer.phase)
            self._progress.update(
                self._bars[path], completed=transfer.bytes, total=transfer.total, phase=printable(why, 60)
            )

    def _tell(self, events: list[Event]) -> None:
        """One change, a line each; what was fetched appeared anyway, and nobody wants to hear of a gate not yet opened."""
        fetched = any(isinstance(event, DownloadVerified) for event in events)
        for event in events:
            if isinstance(event, ReadinessChanged):
                quiet, self._was_ready = not (event.ready or self._was_ready), event.ready
            else:
                quiet = fetched and isinstance(event, ModelAppeared)
            if not quiet and (line := _line(event)):
                self._say(line[1], line[0])

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
        case DownloadFailed(reason=reason, final=final):
            return ("red" if final else "yellow"), f"{'failed' if final else 'again soon'}: {reason}"
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
