"""`model-manager model index duplicates`"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.channel import state_directory
from model_manager.cli.figures import size_text
from model_manager.cli.model.counting import counted
from model_manager.cli.model.doing import STOPPED, Agent, done
from model_manager.cli.model.gauge import Gauge
from model_manager.cli.model.opening import opened
from model_manager.cli.model.shapes import print_json
from model_manager.cli.model.stopping import asking
from model_manager.errors import ModelManagerError, printable
from model_manager.facts.duplicate import Duplicate, Redundant

if TYPE_CHECKING:
    from model_manager.cli.model.replacing import Outcome, Way
    from model_manager.workbench.bench import Workbench

NEWEST: Final = "newest"
LOGS: Final = "undo"
"""In the state directory."""

PROGRAM: Final = "model-manager model index duplicates"


@click.command()
@click.option(
    "--replace", "way", type=click.Choice(["auto", "reflink", "hardlink"]),
    help="Let the kept file stand in for its copies; auto: shared blocks where they can be, else hard links.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Really do it; without it nothing is changed.")
@click.option(
    "--undo", "log", is_flag=False, flag_value=NEWEST, metavar="[LOG]",
    help="Make the files of an undo log files of their own again; default: the newest log.",
)  # fmt: skip
@state_option
@json_option
def command(way: Way | None, yes: bool, log: str | None, state_dir: Path | None, as_json: bool) -> None:
    """Bytes that lie on the disk more than once, by their full hash. Links to one file are no duplicates.

    Without --yes this only says what would be done. Every change is written down first and can be undone.
    """
    if log is not None:
        _refuse_both(way, yes)
        from model_manager.cli.model.taking_back import take_back

        take_back(_logs(state_dir), None if log == NEWEST else Path(log), as_json, lambda: _notice(state_dir))
        return
    if yes and way is None:
        raise click.UsageError("--yes needs to know how: --replace auto, reflink or hardlink.")
    found, unread = _found(state_dir, way or "auto")
    if yes:
        _do(found, state_dir, as_json)
    elif as_json:
        print_json({"reclaimable": _reclaimable(found), "duplicates": [_shape(one) for one in found]})
    else:
        _print(found, unread)


def _refuse_both(way: str | None, yes: bool) -> None:
    if way or yes:
        raise click.UsageError("--undo takes back; --replace and --yes do not go with it.")


def _logs(state_dir: Path | None) -> Path:
    return state_directory(state_dir, os.environ) / LOGS


def _found(state_dir: Path | None, way: Way) -> tuple[tuple[Duplicate, ...], int]:
    """And how many files nobody has read, so that nothing is known of them."""
    from model_manager.cli.model.replacing import plan

    with opened(state_dir) as shop:
        own = [each.path for each in shop.directories() if each.own]
        groups, summary = shop.duplicates(), shop.summary()
    return plan(groups, own, way), summary.files - summary.read


def _reclaimable(found: tuple[Duplicate, ...]) -> int:
    return sum(one.reclaimable for one in found)


def _shape(one: Duplicate) -> dict[str, Any]:
    return {
        "digest": one.digest,
        "size": one.size,
        "kept": one.kept.file,
        "why": one.why,
        "reclaimable": one.reclaimable,
        "redundant": [
            {
                "files": [copy.file for copy in each.copies],
                "by": each.by.file,
                "how": each.how,
                "why": each.why,
                "reclaimable": each.reclaimable,
            }
            for each in one.redundant
        ],
    }


def _print(found: tuple[Duplicate, ...], unread: int) -> None:
    if not found:
        click.echo("nothing lies on the disk twice, of what was read", err=True)
    for one in found:
        click.echo(f"{printable(one.kept.file)}  {size_text(one.size)}, stays: {one.why}")
        for each in one.redundant:
            click.echo("\n".join(_said(each)))
    if found:
        click.echo(f"\n{counted(len(found), 'model')} more than once; {size_text(_reclaimable(found))} could be freed")
    if _reclaimable(found):
        click.echo(f"nothing was changed; '{PROGRAM} --replace auto --yes' does it, and it can be undone", err=True)
    if unread:
        click.echo(f"{counted(unread, 'file')} still to read: 'model-manager model index sync'", err=True)


def _said(each: Redundant) -> list[str]:
    word = f"→ {each.how}" if each.how else f"stays too: {each.why}"
    first, *names = [printable(copy.file) for copy in each.copies]
    return [f"  {first}  {word}", *(f"  {name}  (another name of it)" for name in names)]


def _do(found: tuple[Duplicate, ...], state_dir: Path | None, as_json: bool) -> None:
    from model_manager.cli.model.replacing import perform, steps, tidy_logs

    todo, directory = steps(found), _logs(state_dir)
    for path in tidy_logs(directory):
        click.echo(f"removed {printable(path)}, which an earlier crash had left", err=True)
    if not todo:
        print_json(_outcome_shape(None)) if as_json else click.echo("there is nothing to replace", err=True)
        return
    size = sum(step.copy.fingerprint.size for step in todo)
    log = directory / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.jsonl"
    with Gauge("replaced") as gauge, asking() as cancelled:
        outcome = perform(todo, str(log), cancelled, lambda files, done: gauge.show(files, len(todo), done, size))
    if outcome.done:
        _notice(state_dir)
    elif not outcome.failed:
        log.unlink()
    print_json(_outcome_shape(outcome)) if as_json else _print_outcome(outcome)
    if outcome.stopped:
        sys.exit(STOPPED)
    if outcome.failed:
        sys.exit(outcome.failed[0][1].exit_code)


def _outcome_shape(outcome: Outcome | None) -> dict[str, Any]:
    done, failed = (outcome.done, outcome.failed) if outcome else ([], [])
    return {
        "freed": outcome.freed if outcome else 0,
        "replaced": [{"file": each.file, "how": each.how, "freed": each.freed} for each in done],
        "failed": [{"file": step.copy.file, "why": str(error)} for step, error in failed],
        "stopped": bool(outcome and outcome.stopped),
        "undo_log": outcome.log if outcome and (done or failed) else None,
    }


def _print_outcome(outcome: Outcome) -> None:
    for same in _alike(error for _, error in outcome.failed):
        many = f" ({counted(len(same), 'file')})" if len(same) > 1 else ""
        click.echo(f"! {same[0]}{many}", err=True)
    stopped = "stopped: " if outcome.stopped else ""
    click.echo(f"{stopped}{counted(len(outcome.done), 'file')} replaced, {size_text(outcome.freed)} freed")
    if outcome.done:
        click.echo(f"undo it with: {PROGRAM} --undo {shlex.quote(outcome.log)}")


def _alike(errors: Iterable[ModelManagerError]) -> Iterable[list[ModelManagerError]]:
    """Those that say the same; how much is free changes from one moment to the next and is no other reason."""
    groups: dict[tuple[Any, ...], list[ModelManagerError]] = {}
    for error in errors:
        facts = (fact for fact in error.facts.items() if fact[0] != "free")
        groups.setdefault((type(error), *map(str, facts)), []).append(error)
    return groups.values()


def _notice(state_dir: Path | None) -> None:
    """The index learns what changed: no byte did, so that nothing is read again."""
    try:
        done(state_dir, agent=_scan, bench=_look)
    except ModelManagerError as error:
        click.echo(f"the index does not know it yet: {error}", err=True)


def _scan(agent: Agent) -> None:
    agent.post("/scan", {})


async def _look(bench: Workbench) -> None:
    await bench.noticing.reconcile()
