"""`model-manager model index duplicates --undo`"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from model_manager.cli.model.counting import counted
from model_manager.cli.model.doing import STOPPED
from model_manager.cli.model.replacing import LOG, UNDONE, logs
from model_manager.cli.model.shapes import print_json
from model_manager.cli.model.stopping import asking
from model_manager.errors import BadRequest, DiskUnavailable, Stopped, printable
from model_manager.library.duplicates.undoing import Failed, Left, Undone, undo

Answers = list[Undone | Left | Failed]

AGAIN: Final = "the others are as they were; undo again when that is mended"


def take_back(directory: Path, log: Path | None, as_json: bool, notice: Callable[[], None]) -> None:
    """Undo a log, or the newest of a directory, and say what became of each file. `notice` is called when any changed.

    A log of which nothing is left to do is renamed, so that the next undo takes the one before it. Raises BadRequest when
    there is none, or the file that is named is none.
    """
    chosen = log or _newest(directory)
    if not chosen.is_file():
        raise BadRequest(why=f"there is no undo log {chosen}", fix=f"They lie in {directory}.")
    answers: Answers = []
    stopped = _undo(chosen, answers)
    if log and not _is_log(log, answers):
        raise BadRequest(why=f"{log} is no undo log", fix=f"They lie in {directory}.")
    again = any(map(_may_be_undone, answers))
    if not (again or stopped or chosen.name.endswith(UNDONE)):
        chosen = chosen.rename(chosen.with_name(chosen.name + UNDONE))
    if any(isinstance(each, Undone) for each in answers):
        notice()
    print_json({"log": str(chosen), "stopped": stopped, **_shape(answers)}) if as_json else _print(answers, stopped)
    if stopped:
        sys.exit(STOPPED)
    if again:
        sys.exit(DiskUnavailable.exit_code)


def _is_log(file: Path, answers: Answers) -> bool:
    """Whether somebody who names a file means one of ours: of another's no line can be read."""
    return file.suffix in (LOG, UNDONE) and any(each.file for each in answers)


def _may_be_undone(answer: Undone | Left | Failed) -> bool:
    return isinstance(answer, Failed) or (isinstance(answer, Left) and answer.again)


def _newest(directory: Path) -> Path:
    found = logs(directory)
    if not found:
        raise BadRequest(
            why=f"there is no undo log in {directory}", fix="Nothing was replaced, or all of it was undone."
        )
    return found[-1]


def _undo(log: Path, answers: Answers) -> bool:
    """Fills `answers`; whether it was stopped before its end."""
    with asking() as cancelled:
        try:
            for answer in undo(str(log), cancelled=cancelled):
                answers.append(answer)
                if cancelled():
                    return True
        except Stopped:
            return True
    return False


def _shape(answers: Answers) -> dict[str, list[dict[str, str]]]:
    return {
        "undone": [{"file": each.file, "note": each.note} for each in answers if isinstance(each, Undone)],
        "left": [{"file": each.file, "why": each.why} for each in answers if isinstance(each, Left)],
        "failed": [{"file": each.file, "why": str(each.error)} for each in answers if isinstance(each, Failed)],
    }


def _print(answers: Answers, stopped: bool) -> None:
    for each in answers:
        click.echo(_said(each))
    undone = sum(isinstance(each, Undone) for each in answers)
    click.echo(f"{'stopped: ' if stopped else ''}{counted(undone, 'file')} separate again")
    if undone:
        click.echo("they are read again by the agent, or by 'model-manager model index sync'", err=True)
    if stopped or any(map(_may_be_undone, answers)):
        click.echo(AGAIN, err=True)


def _said(answer: Undone | Left | Failed) -> str:
    match answer:
        case Undone(file=file, note=note):
            return f"undone: {printable(file)}{f' ({printable(note)})' if note else ''}"
        case Left(file=file, why=why):
            return f"left: {printable(file)}: {printable(why)}"
        case Failed(error=error):
            return f"failed: {error}"
