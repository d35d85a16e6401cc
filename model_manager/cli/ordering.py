"""`model-manager fleet scan|verify|reload|assign`: ask machines of the fleet, and see what becomes of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.acting import ASSIGNMENTS, ORDERS, Act, acting, all_option, group, machines_argument
from model_manager.cli.aggregator import url_option
from model_manager.cli.answers import json_option
from model_manager.errors import Refused, Unavailable, printable

LOOK: Final = 0.25
"""Seconds between two looks at what became of an order."""

STYLES: Final = {"done": "green", "begun": "cyan", "waiting": "yellow", "refused": "red", "dropped": "red"}

wait_option = click.option(
    "--wait", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the machines' answers; 0 for not at all.",
)  # fmt: skip


@click.command("scan")
@machines_argument
@all_option
@wait_option
@url_option
@json_option
def scan(machines: tuple[str, ...], everybody: bool, wait: float, url: str | None, as_json: bool) -> None:
    """Have machines compare their model directories with their index now."""
    _ordered({"what": "scan", **group(machines, everybody)}, wait, url, as_json)


@click.command("verify")
@machines_argument
@all_option
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="NAME",
    help="Only this one: a path, folder/name, or a name. May be repeated.",
)
@wait_option
@url_option
@json_option
def verify(
    machines: tuple[str, ...], everybody: bool, files: tuple[str, ...], wait: float, url: str | None, as_json: bool
) -> None:
    """Have machines read files again, to find bytes that rotted."""
    _ordered({"what": "verify", "files": list(files), **group(machines, everybody)}, wait, url, as_json)


@click.command("reload")
@machines_argument
@all_option
@wait_option
@url_option
@json_option
def reload(machines: tuple[str, ...], everybody: bool, wait: float, url: str | None, as_json: bool) -> None:
    """Have machines adopt changed settings, tokens and their assignment file."""
    _ordered({"what": "reload", **group(machines, everybody)}, wait, url, as_json)


@click.command("assign")
@machines_argument
@all_option
@click.option("--workflow", "workflows", multiple=True, metavar="NAME")
@click.option("--collection", "collections", multiple=True, metavar="ID")
@click.option("--model", "models", multiple=True, metavar="NAME")
@click.option("--replace", is_flag=True, help="Serve only this, whatever the machines' own configuration says.")
@url_option
def assign(
    machines: tuple[str, ...],
    everybody: bool,
    workflows: tuple[str, ...],
    collections: tuple[str, ...],
    models: tuple[str, ...],
    replace: bool,
    url: str | None,
) -> None:
    """Push an assignment to machines; it is added to what they serve."""
    names = {"workflows": workflows, "collections": collections, "models": models}
    body: dict[str, Any] = {part: list(given) for part, given in names.items() if given}
    body |= {"mode": "replace" if replace else "add", **group(machines, everybody)}

    async def push() -> dict[str, Any]:
        async with acting(url) as act:
            return await act.post(ASSIGNMENTS, body)

    click.echo(f"assigned to {', '.join(asyncio.run(push())['machines'])}")


def _ordered(body: dict[str, Any], wait: float, url: str | None, as_json: bool) -> None:
    status = asyncio.run(_given(body, wait, url))
    if as_json:
        click.echo(json.dumps(status))
    else:
        _show(Console(highlight=False), status)
    counts = status["counts"]
    if lost := counts["refused"] + counts["dropped"]:
        raise Refused(what=f"{lost} of {status['total']} machines did not do it; the reasons stand beside them.")
    if wait and (late := counts["waiting"] + counts["begun"]):
        raise Unavailable(what=f"{late} of {status['total']} machines are not done within {wait:g} s; they go on.")


async def _given(body: dict[str, Any], wait: float, url: str | None) -> dict[str, Any]:
    async with acting(url) as act:
        order = (await act.post(ORDERS, body))["order"]
        return await _until_answered(act, order, time.monotonic() + wait)


async def _until_answered(act: Act, order: str, deadline: float) -> dict[str, Any]:
    while True:
        status = await act.status(order)
        if not status["counts"]["waiting"] + status["counts"]["begun"] or time.monotonic() >= deadline:
            return status
        await asyncio.sleep(LOOK)


def _show(console: Console, status: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("machine", status["what"], "files", "what it says"):
        table.add_column(name, overflow="fold", justify="right" if name == "files" else "left")
    for each in status["items"]:
        state = Text(printable(each["state"], 20), style=STYLES.get(each["state"], ""))
        table.add_row(each["machine_id"], state, str(each["files"] or ""), Text(printable(each["why"])))
    console.print(table)
