"""`model-manager jobs explain`"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.answers import json_option
from model_manager.cli.figures import size_text, spoken_time
from model_manager.cli.jobs.asking import asking, print_json, requirement
from model_manager.cli.jobs.desk import desk
from model_manager.errors import BadSetting, printable
from model_manager.facts.job import Explanation, Shortage, Try, Verdict
from model_manager.facts.quota import Quota

Told = tuple[Explanation, tuple[Shortage, ...], tuple[Try, ...]]


@click.command()
@click.argument("id", required=False)
@asking
@click.option("--machine", default="", metavar="ID", help="Only this machine.")
@click.option("--bandwidth", default="100MB", show_default=True, metavar="RATE", help="Bytes per second of a download.")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Machines at most.")
@json_option
def command(
    id: str | None, machine: str, bandwidth: str, limit: int, as_json: bool, customer: str, workflow: str, **asks: Any
) -> None:
    """Say which machines can take the job ID, why others cannot, what they would have to fetch, and who tried it so far.

    Without ID it is said for a job that asks for what the options say.
    """
    asked = requirement(asks.pop("requirement"), **asks)
    if bool(id) == bool(asked):
        raise click.UsageError("Name a job, or what one would ask for (--service, --model, ...).")
    rate = Quota.parse(bandwidth, "--bandwidth").total
    if rate is None:
        raise BadSetting(name="--bandwidth", why="it is no speed", fix="Write for example 100MB.")
    how = {"customer": customer, "workflow": workflow, "machine": machine, "limit": limit}
    explained, lacking, tries = asyncio.run(_explained(id or "", asked or None, rate, how))
    if as_json:
        print_json({"explanation": explained, "shortages": lacking, "tries": tries})
    else:
        _show(explained, {each.machine: each for each in lacking}, machine)
        _show_tries(tries)


async def _explained(id: str, asks: Mapping[str, Any] | None, rate: int, how: dict[str, Any]) -> Told:
    from model_manager.bus.shortages import shortages

    async with desk() as (redis, claims):
        explained = await claims.explain(id, asks=asks, **how)
        tries = (await claims.job(id)).tries if id else ()
        return explained, await shortages(redis, claims, explained, bandwidth=rate), tries


def _show(explained: Explanation, lacking: Mapping[str, Shortage], machine: str) -> None:
    console = Console(highlight=False)
    waiting = f", {explained.pending} of its kind wait" if explained.pending else ""
    console.print(Text(f"{explained.eligible} can take it now{waiting}"))
    for each in explained.models:
        console.print(Text(f"  {printable(each.model)} is on {each.machines}"))
    table = Table(box=None, pad_edge=False)
    for name in ("machine", "can", "why not", "to fetch"):
        table.add_column(name, overflow="fold")
    for verdict in explained.machines:
        table.add_row(
            Text(printable(f"{verdict.machine} {verdict.seat}".strip())), "yes" if verdict.fits else "no",
            Text(_why(verdict)), Text(_fetch(lacking.get(verdict.machine))),
        )  # fmt: skip
    if explained.machines:
        console.print(table)
    elif machine:
        console.print(
            Text(f"nobody has heard of '{printable(machine)}': neither its agent nor an offer of its workers")
        )


def _show_tries(tries: Sequence[Try]) -> None:
    if not tries:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("tried by", "from", "to", "ended", "why"):
        table.add_column(name, overflow="fold")
    for each in tries:
        table.add_row(
            Text(printable(f"{each.machine} {each.worker}".strip())), _at(each.began), _at(each.ended),
            Text(printable(each.how, 20)), Text(printable(each.why, 240)),
        )  # fmt: skip
    Console(highlight=False).print(table)


def _at(moment: float | None) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def _why(verdict: Verdict) -> str:
    said = [why for _, why in verdict.reasons]
    return printable("; ".join(["its agent does not beat", *said] if verdict.live is False else said), 240)


def _fetch(short: Shortage | None) -> str:
    if short is None or not short.missing:
        return ""
    amount = "of unknown size" if short.unknown == len(short.missing) else size_text(short.bytes)
    more = f" and {short.unknown} of unknown size" if 0 < short.unknown < len(short.missing) else ""
    return f"{amount}{more}" + (f", {spoken_time(short.seconds)}" if short.seconds is not None else "")
