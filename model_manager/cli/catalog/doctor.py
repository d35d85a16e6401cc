"""`model-manager catalog doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import click

from model_manager import settings as configuration
from model_manager.agent.entitlements import tokens
from model_manager.catalog.doctor.checkups import Checkups
from model_manager.catalog.doctor.doctoring import WHO, Doctor, Examined
from model_manager.catalog.doctor.noting import Notebook
from model_manager.catalog.doctor.reports import Wish
from model_manager.catalog.doctor.tallying import Tallying
from model_manager.catalog.incoming.drawn import folders_of
from model_manager.catalog.run import opened
from model_manager.catalog.storage.store import Store
from model_manager.cli.catalog.opening import address_of, database_option
from model_manager.cli.catalog.visiting import visitor
from model_manager.decisions.workflows.referring import read
from model_manager.errors import BadWorkflow, CatalogConflict
from model_manager.facts import wire
from model_manager.settings import Settings

Expected = dict[str, set[str]]


@click.command()
@click.option("--fix", is_flag=True, help="Write what can be mended, after showing it and asking.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--no-visit", is_flag=True, help="Ask nobody; look only at the records.")
@click.option(
    "--workflow", "workflows", multiple=True, type=click.Path(exists=True, path_type=Path),
    help="A workflow's file, or a directory of them: are models in the folders from which they load?",
)  # fmt: skip
@click.option(
    "--per-minute", type=click.IntRange(1, 6000), default=120, show_default=True, help="Requests to one host."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a record a line.")
@database_option
def command(
    fix: bool, yes: bool, no_visit: bool, workflows: tuple[Path, ...], per_minute: int, as_json: bool, database: str | None
) -> None:  # fmt: skip
    """Look at every record and visit every address, asking for one byte; say what is wrong, and what would mend it.

    No record is written without --fix; what was found is kept for GET /doctor. Ends with 1 when something is wrong that was not mended.
    """
    settings = configuration.load()
    expected = expected_of(workflows)
    wish = Wish(visit=not no_visit, fix=fix, per_minute=per_minute)
    coroutine = _examine(settings, address_of(database, settings), expected, wish, yes=yes, as_json=as_json)
    if asyncio.run(coroutine):
        raise SystemExit(1)


async def _examine(
    settings: Settings, address: Path | str, expected: Expected, wish: Wish, *, yes: bool, as_json: bool
) -> int:
    """How many records have something wrong that stays."""
    known = set(tokens(settings))
    going = visitor(settings, wish.per_minute) if wish.visit else nullcontext()
    async with opened(address, kept=settings.catalog_changes) as store, going as asking:
        tallying, started = Tallying(), store.now()
        doctor = Doctor(store, asking, known, expected, tallying.looked)
        with Notebook() as found:
            async for examined in doctor.examine():
                found.add(examined)
                click.echo(_json(examined) if as_json else "\n".join(lines(examined)))
            left = await _mended(doctor, found, tallying, mend=_meant(found, fix=wish.fix, yes=yes))
        await _kept(store, wish, started, tallying)
        return left


def _meant(found: Notebook, *, fix: bool, yes: bool) -> bool:
    """Whether to write what can be mended."""
    click.echo(f"{found.count} records have something wrong; {found.mendable} can be mended", err=True)
    if found.mendable and not fix:
        click.echo("Nothing was written. --fix writes it.", err=True)
    return bool(fix and found.mendable and (yes or click.confirm(f"Write {found.mendable} records?", err=True)))


async def _mended(doctor: Doctor, found: Notebook, tallying: Tallying, *, mend: bool) -> int:
    """How many records have something wrong that stays."""
    left = 0
    for each in found:
        written = False
        if mend and each.mended:
            why = await doctor.mend(each)
            written = not why
            if why:
                click.echo(f"  {each.stored.name}: {why}", err=True)
        tallying.add(each, mended=written)
        left += not written or _stays(each)
    if mend:
        click.echo(f"{left} records have something wrong that only a person can mend", err=True)
    return left


def _stays(examined: Examined) -> bool:
    """Whether something is wrong with it that mending leaves."""
    return any(not ailment.fix for ailment in examined.ailments)


async def _kept(store: Store, wish: Wish, started: str, tallying: Tallying) -> None:
    try:
        await Checkups(store.database, store.now).keep(WHO, wish, started, tallying.tally())
    except CatalogConflict as error:
        click.echo(f"The report is not kept: {error}", err=True)


def lines(examined: Examined) -> Iterable[str]:
    """For a person."""
    for each in examined.ailments:
        yield f"{each.kind:12}  {each.name}: {each.what}{f' -> {each.fix}' if each.fix else ''}"


def _json(examined: Examined) -> str:
    return wire.dumps({"id": examined.stored.id, "ailments": examined.ailments}).decode()


def expected_of(paths: Iterable[Path]) -> Expected:
    """Name → folders, from files of workflows. Raises BadWorkflow for a file that is none; in directories those are passed over."""
    expected: Expected = {}
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        for file in files:
            try:
                workflow = read(file.read_bytes(), str(file))
            except BadWorkflow as error:
                if not path.is_dir():
                    raise
                click.echo(f"passed over: {error}", err=True)
                continue
            for name, folder in folders_of(workflow):
                expected.setdefault(name, set()).add(folder)
    return expected
