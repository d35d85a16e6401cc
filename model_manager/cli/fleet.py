"""`model-manager fleet`: serve the fleet's HTTP API, and ask the questions that it answers."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.aggregator import asking, everything, url_option
from model_manager.cli.answers import json_option
from model_manager.cli.figures import size_text, time_text
from model_manager.cli.ordering import assign, reload, scan, verify
from model_manager.cli.overview import STYLES, ordered, overview
from model_manager.cli.rules import notifications, rules
from model_manager.cli.taking import import_
from model_manager.errors import printable

LOG: Final = "log/fleet.log"
SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")

Shown = Callable[[Console, dict[str, Any]], None]


@click.group()
def command() -> None:
    """The whole fleet, as its machines tell it through Redis."""


@command.command("serve")
def serve() -> None:
    """Serve the fleet's HTTP API on MODEL_MANAGER_FLEET_HOST and _PORT until interrupted."""
    from model_manager import settings as configuration
    from model_manager.agent.logs import start_logs
    from model_manager.fleet.run import run

    settings = configuration.load()
    start_logs(settings.state / LOG, settings.log_level)
    asyncio.run(run(settings, started=lambda url: click.echo(f"fleet at {url}", err=True)))


@command.command("machines")
@click.option("--state", type=click.Choice(["live", "stale", "away"]), help="Only machines in this state.")
@click.option("--workflow", metavar="NAME", help="Only machines that were told to serve it.")
@url_option
@json_option
def machines(state: str | None, workflow: str | None, url: str | None, as_json: bool) -> None:
    """Show every machine."""
    body = _asked(url, "machines", _given(state=state, workflow=workflow))
    _show(body, as_json, _machines)


@command.command("who-has")
@click.argument("model")
@url_option
@json_option
def who_has(model: str, url: str | None, as_json: bool) -> None:
    """Show which machines hold MODEL: a name within its folder, folder/name, or a SHA-256."""
    given = {"sha256": model} if SHA256.fullmatch(model) else {"name": model}
    _show(_asked(url, "who_has", given), as_json, _holders)


@command.command("who-can")
@click.argument("workflow")
@url_option
@json_option
def who_can(workflow: str, url: str | None, as_json: bool) -> None:
    """Show which machines can run WORKFLOW, and what it would take on the others."""
    _show(_asked(url, "who_can", {"workflow": workflow}), as_json, _candidates)


@command.command("missing")
@click.option("--machine", metavar="ID", help="Only this machine.")
@click.option("--workflow", metavar="NAME", help="Only this workflow.")
@url_option
@json_option
def missing(machine: str | None, workflow: str | None, url: str | None, as_json: bool) -> None:
    """Show what keeps machines from serving the workflows that they were told to serve."""
    _show(_asked(url, "missing", _given(machine_id=machine, workflow=workflow)), as_json, _lacks)


for each in (scan, verify, reload, assign, rules, notifications, import_):
    command.add_command(each)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _asked(url: str | None, name: str, given: Mapping[str, str]) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with asking(url) as questions:
            return await everything(questions, name, given)

    return asyncio.run(ask())


def _show(body: dict[str, Any], as_json: bool, shown: Shown) -> None:
    if as_json:
        click.echo(json.dumps(body))
    else:
        shown(Console(highlight=False), body)


def _machines(console: Console, body: dict[str, Any]) -> None:
    console.print(overview(ordered(body["items"]), console.width) if body["items"] else "no machine was heard of")


def _holders(console: Console, body: dict[str, Any]) -> None:
    if not body["items"]:
        console.print(Text(f"nobody has {printable(body['asked'])}"))
        return
    table = _table("machine", "state", "size", "verified", "last used", "path")
    for holder in body["items"]:
        for file in holder["files"]:
            table.add_row(
                holder["machine_id"], _state(holder["state"]), size_text(file["size"]),
                file["evidence"] or "no", _used(file["last_used"]), Text(printable(file["path"])),
            )  # fmt: skip
    console.print(table)


def _used(at: float | None) -> str:
    """When a job last needed it; empty when none did that we know of."""
    return "" if at is None else f"{time_text(max(0.0, time.time() - at))} ago"


def _candidates(console: Console, body: dict[str, Any]) -> None:
    console.print(Text(f"{body['ready']} ready for {printable(body['workflow'])}"))
    table = _table("machine", "state", "ready", "what it would take")
    for each in body["items"]:
        word = "yes" if each["ready"] else "has all" if each["has_all"] else "no"
        table.add_row(each["machine_id"], _state(each["state"]), word, Text(_takes(each)))
    console.print(table)
    _say_unknown(console, body["unknown"])


def _takes(candidate: dict[str, Any]) -> str:
    if candidate["missing"]:
        room = "" if candidate["fits"] is not False else ", which do not fit on its disk"
        return f"{_amount(candidate)}{room}"
    return printable("; ".join(candidate["reasons"]), 160)


def _amount(body: dict[str, Any]) -> str:
    names = [f"{each['folder']}/{each['name']} ({each['how']})" for each in body["missing"]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return printable(f"{size_text(body['bytes'])}: {', '.join(names[:3])}{more}", 240)


def _lacks(console: Console, body: dict[str, Any]) -> None:
    if not body["items"]:
        console.print("every machine has what it was told to serve")
        return
    table = _table("machine", "state", "workflow", "why", "what it would take")
    for each in body["items"]:
        why = Text(printable("; ".join(each["reasons"]), 160))
        takes = Text(_amount(each) if each["missing"] else "")
        table.add_row(each["machine_id"], _state(each["state"]), Text(printable(each["workflow"])), why, takes)
    console.print(table)
    for unknown in dict.fromkeys(each["unknown"] for each in body["items"]):
        _say_unknown(console, unknown)


def _say_unknown(console: Console, why: str) -> None:
    if why:
        console.print(Text(f"not all is known: {printable(why)}", style="yellow"), soft_wrap=True)


def _state(state: str) -> Text:
    return Text(state, style=STYLES.get(state, ""))


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    return table
