"""`model-manager catalog import`."""

from __future__ import annotations

import asyncio
import getpass
from itertools import chain
from pathlib import Path

import click

from model_manager import settings as configuration
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.findings import Report
from model_manager.catalog.incoming.loading import records_in
from model_manager.catalog.run import opened
from model_manager.cli.catalog.opening import address_of, database_option
from model_manager.errors import BadRecord
from model_manager.facts import wire


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Forget what the catalog has first.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@database_option
def command(files: tuple[Path, ...], replace: bool, dry_run: bool, as_json: bool, database: str | None) -> None:
    """Take in FILES: JSON or NDJSON of the EmProps API, an export, a manifest, a database of StableQueue or comfygit.

    What can be mended is mended, what no machine could use is left out, and both are said.
    """
    settings = configuration.load()
    address = address_of(database, settings)
    report = asyncio.run(_import(files, address, settings.catalog_changes, replace=replace, dry_run=dry_run))
    click.echo(wire.dumps(report).decode() if as_json else "\n".join(lines(report)))
    if not report.created + report.replaced + report.unchanged:
        raise BadRecord(name=", ".join(map(str, files)), why="it holds no record that can be used")


async def _import(files: tuple[Path, ...], address: Path | str, kept: int, *, replace: bool, dry_run: bool) -> Report:
    async with opened(address, kept=kept) as store:
        items = chain.from_iterable(map(records_in, files))
        return await load(store, items, _who(), replace_all=replace, dry_run=dry_run)


def lines(report: Report) -> list[str]:
    """The report for a person."""
    told = [f"  {each.done:8}  {each.where}: {each.what}" for each in report.findings]
    more = report.findings_total - len(report.findings)
    summary = (
        f"{report.created} created, {report.replaced} replaced, {report.unchanged} as they were, "
        f"{report.left_out} left out{' (dry run: nothing was written)' if report.dry_run else ''}"
    )
    return [*told, *([f"  and {more} more findings"] if more else []), summary]


def _who() -> str:
    """For the audit trail."""
    try:
        return f"import by {getpass.getuser()}"
    except (KeyError, OSError):
        return "import"
