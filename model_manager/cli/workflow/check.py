"""`model-manager workflow check`"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from model_manager.agent.assignment.judging import judged, layout_of
from model_manager.cli.answers import json_option, state_option
from model_manager.cli.environment import environment_option, opened, workflow_path
from model_manager.cli.model.counting import counted
from model_manager.cli.model.opening import opened_or_empty as opened_index
from model_manager.cli.model.shapes import print_json
from model_manager.cli.workflow.judging import comfyui_option, live_at, live_option, settings_of
from model_manager.cli.workflow.reading import sheet
from model_manager.cli.workflow.shapes import resolved_shape
from model_manager.errors import NotFound, printable
from model_manager.facts.resolution import Candidate, Layout, Resolved, Ruling, State

ASSUMED: Final = "no ComfyUI is named, so every tracked directory counts as one that it searches: '--comfyui DIR', or COMFYUI_BASE_PATH"
STYLES: Final[dict[State, str]] = {
    "loads": "green", "unproven": "yellow", "fixable": "yellow", "other": "red", "ambiguous": "red", "proposed": "red",
    "missing": "red",
}  # fmt: skip
SHOWN: Final = 5
"""Candidates of one model that are listed."""


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--all", "everything", is_flag=True, help="Also what is muted, bypassed or switched off.")
@comfyui_option
@live_option
@environment_option
@state_option
@json_option
def command(
    what: tuple[str, ...],
    everything: bool,
    comfyui: Path | None,
    live: str | None,
    directory: Path,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Will this ComfyUI load exactly these files? By its own rules: its directories in its order, names letter by letter.

    Exit code 0 when every model loads, 65 when one does not.
    """
    environment = opened(directory)
    paths = [workflow_path(environment, each)[0] for each in what]
    told = live_at(live)
    with opened_index(state_dir) as shop:
        layout = layout_of(settings_of(state_dir), shop, comfyui)
        found = {path: _asked(judged(sheet(path, told).workflow, shop, layout), everything) for path in paths}
    if as_json:
        print_json([{"file": str(path), "references": [*map(resolved_shape, each)]} for path, each in found.items()])
    else:
        for path, each in found.items():
            _print(path, each, layout)
    if not all(map(loads, (each for all_of_one in found.values() for each in all_of_one))):
        sys.exit(NotFound.exit_code)


def loads(each: Resolved) -> bool:
    """Whether ComfyUI takes the value and opens a file of that name, read or not; what does not run need not load."""
    return not each.reference.active or each.state in ("loads", "unproven")


def _asked(found: Iterable[Resolved], everything: bool) -> list[Resolved]:
    return [each for each in found if everything or each.reference.active]


def _print(path: Path, found: list[Resolved], layout: Layout) -> None:
    from rich.text import Text

    from model_manager.cli.model.tables import console

    screen = console()
    good = sum(map(loads, found))
    for each in found:
        for ruling in each.rulings:
            for line in lines(each, ruling):
                screen.print(Text.assemble(line), soft_wrap=True)
    click.echo(f"{printable(path.name)}: {good} of {counted(len(found), 'model')} load", err=True)
    if layout.assumed:
        click.echo(ASSUMED, err=True)


def lines(each: Resolved, ruling: Ruling) -> Iterator[tuple[str, str]]:
    """A ruling for a person, each line with its style: what it is, and under it what it could be instead."""
    wish = ruling.wish
    label = f"{wish.folder or '?'}/{wish.name}"
    idle = "" if each.reference.active else " (not active)"
    yield f"{ruling.state:<9} {printable(label)}{idle}", STYLES[ruling.state]
    if ruling.state != "loads":
        yield f"          {printable(ruling.why, 500)}", ""
    for number, candidate in enumerate(ruling.candidates[:SHOWN], 1):
        yield f"          {number}  {said(candidate)}", ""


def said(candidate: Candidate) -> str:
    """One candidate in a list."""
    do = f"write '{candidate.value}'" if candidate.value is not None else "needs a link"
    return printable(f"{candidate.known.file}  (by {candidate.by}; {do}: {candidate.why})", 1000)
