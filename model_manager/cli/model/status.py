"""`model-manager model index status`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.figures import size_text
from model_manager.cli.model.counting import counted
from model_manager.cli.model.doing import Agent, agent_of
from model_manager.cli.model.opening import NOTHING_TRACKED, opened
from model_manager.cli.model.shapes import directory_shape, print_json, summary_shape
from model_manager.facts.directory import Directory
from model_manager.facts.known import Summary


@click.command()
@state_option
@json_option
def command(state_dir: Path | None, as_json: bool) -> None:
    """The index in figures, and each tracked directory."""
    with opened(state_dir) as shop:
        summary, directories = shop.summary(), shop.directories()
    agent = agent_of(state_dir)
    if as_json:
        listed = [directory_shape(number, each) for number, each in enumerate(directories, 1)]
        print_json({**summary_shape(summary), "agent": agent is not None, "directories": listed})
        return
    _print(summary, directories, agent)


def _print(summary: Summary, directories: tuple[Directory, ...], agent: Agent | None) -> None:
    from model_manager.cli.model.tables import print_directories, print_remarks, print_whys

    unread = summary.files - summary.read
    click.echo(
        f"{counted(summary.files, 'file')}, {size_text(summary.bytes)}, {counted(summary.contents, 'different content')}"
    )
    odd = summary.read - summary.verified
    aside = f", {odd:,} odd ('model-manager model index list --unverified')" if odd else ""
    click.echo(f"{summary.verified:,} verified, {unread:,} to read ({size_text(summary.unread_bytes)}){aside}")
    if summary.troubled:
        click.echo(
            f"{summary.troubled:,} could not be read whole: 'model-manager model index show FILE' says why; let this account "
            "read them, and 'model-manager model index sync'"
        )
    if summary.pickles:
        click.echo(
            f"{summary.pickles:,} are pickles: loading one can run code of whoever made it, verified or not; "
            "prefer safetensors"
        )
    if summary.missing:
        click.echo(f"{summary.missing:,} missing: 'model-manager model index missing' says where they could come from")
    if directories:
        click.echo()
        print_directories(directories)
        print_whys(directories)
        print_remarks(directories)
    click.echo()
    click.echo(_next(unread, directories, agent))


def _next(unread: int, directories: tuple[Directory, ...], agent: Agent | None) -> str:
    if not directories:
        return NOTHING_TRACKED
    if agent:
        return "an agent runs here: it notices what changes and reads what is new by itself"
    word = "brings it up to date" if not unread else "brings it up to date and reads them"
    return f"no agent runs here: 'model-manager model index sync' {word}"
