"""Models that a command wants here: the agent of this state directory fetches them when it answers, else this process does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.figures import size_text
from model_manager.cli.model.doing import Agent, done
from model_manager.cli.model.gauge import Gauge
from model_manager.errors import BadSetting, NotBrought, printable
from model_manager.facts.model import Model
from model_manager.facts.transfer import Phase

if TYPE_CHECKING:
    from model_manager.agent.board import Board
    from model_manager.settings import Settings
    from model_manager.workbench.bench import Workbench

PAUSE: Final = 0.2
"""Seconds between two questions to the agent."""

into_option = click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="The models directory that downloads go into; default: the store of the settings.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What became of one model: `here`, `linked`, `fetched`, or `failed` and why. `file` is where it lies now."""

    path: str
    outcome: str
    why: str = ""
    file: str = ""


def brought(state_dir: Path | None, models: Sequence[Model], into: Path | None) -> tuple[Arrival, ...]:
    """Each of them, in the order of work. Raises BadSetting when no store is named, and what an agent or a workbench raises."""
    if not models:
        return ()
    with Gauge("fetched") as gauge:
        return done(
            state_dir,
            agent=lambda agent: _by_agent(agent, models, gauge),
            bench=lambda bench: _by_bench(bench, models, gauge),
            settle=lambda settings: _storing(settings, into),
        )


def _storing(settings: Settings, into: Path | None) -> Settings:
    """Raises BadSetting when nobody says where downloads belong."""
    if into is None and settings.own_store is None:
        why = "no models directory is named that downloads could go into"
        raise BadSetting(
            name="MODEL_MANAGER_STORE", why=why, fix="Add --into DIR, or set MODEL_MANAGER_STORE or WORKSPACE_PATH."
        )
    return settings.model_copy(update={"store": into.absolute()}) if into else settings


async def _by_bench(bench: Workbench, models: Sequence[Model], gauge: Gauge) -> tuple[Arrival, ...]:
    bringing = await bench.bringing()
    gauge.say("looking through the directories")
    found = await bringing.bring(models, lambda board: _show(board, len(models), gauge))
    await bench.describing.look()
    return tuple(
        Arrival(path=str(each.model.path), outcome=each.outcome, why=each.why, file=each.held.file if each.held else "")
        for each in found
    )


def _show(board: Board, count: int, gauge: Gauge) -> None:
    moving = [each for each in board.transfers.values() if each.phase is not Phase.FAILED]
    known = [each for each in moving if each.total]
    gauge.show(count - len(moving), count, sum(each.bytes for each in known), sum(each.total or 0 for each in known))


def _by_agent(agent: Agent, models: Sequence[Model], gauge: Gauge) -> tuple[Arrival, ...]:
    from model_manager.facts.asked import asked_shape

    agent.post("/fetch", asked_shape(models))
    wanted = {str(model.path) for model in models}
    gauge.say("the agent fetches them")
    while True:
        steps = {f"{step['folder']}/{step['name']}": step for step in agent.get("/plan").get("steps", [])}
        moving = {f"{each['folder']}/{each['name']}": each for each in agent.get("/progress")["transfers"]}
        arrivals = [found for path in wanted if (found := _arrival(path, steps.get(path), moving.get(path)))]
        if len(arrivals) == len(wanted):
            return tuple(arrivals)
        known = [each for each in moving.values() if each["total"]]
        gauge.show(
            len(arrivals), len(wanted), sum(each["bytes"] for each in known), sum(each["total"] for each in known)
        )
        time.sleep(PAUSE)


def _arrival(path: str, step: dict[str, str] | None, transfer: dict[str, str] | None) -> Arrival | None:
    if step is None:
        return None
    if step["step"] == "keep":
        return Arrival(path=path, outcome="here")
    if step["step"] == "refuse":
        return Arrival(path=path, outcome="failed", why=step["why"])
    if transfer and transfer["phase"] == Phase.FAILED:
        return Arrival(path=path, outcome="failed", why=transfer["why"])
    return None


def say(arrivals: Sequence[Arrival]) -> None:
    """One line each, and at the end NotBrought when one failed."""
    tell(arrivals)
    insist_brought(arrivals)


def tell(arrivals: Sequence[Arrival]) -> None:
    """One line each."""
    for each in arrivals:
        click.echo(
            f"{each.outcome:<8} {printable(each.path)}{f': {printable(each.why, 500)}' if each.why else ''}", err=True
        )


def insist_brought(arrivals: Sequence[Arrival]) -> None:
    """Raises NotBrought when one failed."""
    failed = [each for each in arrivals if each.outcome == "failed"]
    if failed:
        raise NotBrought(count=len(failed), of=len(arrivals), why=failed[0].why.rstrip("."))


def cost(models: Sequence[Model]) -> str:
    """'3 models, 6.9 GB, and 1 of unknown size'"""
    sizes = [model.size.bytes for model in models if model.size]
    unknown = len(models) - len(sizes)
    more = f", {unknown} of unknown size" if unknown else ""
    return f"{len(models)} model{'s' if len(models) != 1 else ''}, {size_text(sum(sizes))}{more}"
