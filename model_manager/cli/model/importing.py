"""`model-manager model index import`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.model.counting import counted
from model_manager.cli.model.directories import absolute
from model_manager.cli.model.doing import Agent, done
from model_manager.cli.model.shapes import print_json
from model_manager.errors import BadRequest, printable

if TYPE_CHECKING:
    from model_manager.workbench.bench import Workbench

SHOWN: Final = 10
"""Files, and oddities, that are said one by one; '--json' says all."""


@click.command()
@click.argument("path")
@click.option("--base", metavar="DIR", help="Where its models are on this machine, if it says otherwise.")
@click.option("--dry-run", is_flag=True, help="Say what is known, and enter nothing.")
@state_option
@json_option
def command(path: str, base: str | None, dry_run: bool, state_dir: Path | None, as_json: bool) -> None:
    """Take in what another program knows of these files: a database, or a directory.

    \b
    comfygit            ~/comfygit/.metadata/models.db
    StableQueue         mobilesd_models.sqlite
    A1111, Forge        its directory, or its data directory
    HuggingFace tools   a directory that they downloaded into

    Nothing of it is changed. Its hashes find candidates and prove nothing.
    """
    _insist_it_exists(absolute(path))
    asked = {"path": absolute(path), "base": absolute(base) if base else None, "dry": dry_run}
    found = done(
        state_dir,
        agent=lambda agent: _by_agent(agent, asked),
        bench=lambda bench: _by_bench(bench, asked),
    )
    if as_json:
        print_json({"dry_run": dry_run, **found})
        return
    _print(found, dry_run)


def _insist_it_exists(path: str) -> None:
    """What we may not look at, an agent may."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        raise BadRequest(
            why=f"there is no {path}", fix="Name the database or the directory of the other program."
        ) from None
    except OSError:
        return


def _by_agent(agent: Agent, asked: dict[str, Any]) -> dict[str, Any]:
    answer = agent.post("/import", asked)
    return {name: answer[name] for name in ("files", "strangers", "odd")}


async def _by_bench(bench: Workbench, asked: dict[str, Any]) -> dict[str, Any]:
    found = await bench.importing.take(asked["path"], base=asked["base"], dry=asked["dry"])
    odd = [{"where": each.where, "why": each.why} for each in found.odd]
    return {"files": list(found.files), "strangers": list(found.strangers), "odd": odd}


def _print(found: dict[str, Any], dry_run: bool) -> None:
    word = "would be learnt" if dry_run else "was learnt"
    click.echo(f"{counted(len(found['files']), 'file')} of which something {word}")
    _say("not here, or changed since", found["strangers"])
    _say("left out", [f"{each['where']}: {each['why']}" for each in found["odd"]])


def _say(word: str, items: list[str]) -> None:
    if not items:
        return
    click.echo(f"{len(items):,} {word}:")
    for item in items[:SHOWN]:
        click.echo(f"  {printable(item)}")
    if len(items) > SHOWN:
        click.echo(f"  and {len(items) - SHOWN:,} more; '--json' says all")
