"""`model-manager status`"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.answers import answer, json_option, state_option
from model_manager.cli.figures import size_text, speed_text, time_text, total_text, until_text
from model_manager.errors import printable

_STYLES = {
    "present": "green",
    "failed": "red",
    "refused": "red",
    "waiting": "yellow",
    "checking": "yellow",
    "ready": "green",
}

WIDE: Final = 100
"""Columns from which on a model's line says who needs it."""


@click.command()
@state_option
@json_option
def command(state_dir: Path | None, as_json: bool) -> None:
    """Show what this machine needs, has and does, and why it is not ready."""
    body = answer(state_dir, "GET", "/status")
    if as_json:
        click.echo(json.dumps(body, indent=2))
        return
    console = Console(highlight=False)
    _head(console, body)
    console.print(_workflows(body))
    console.print(_models(body, console.width))
    _foot(console, body)


def _head(console: Console, body: dict[str, Any]) -> None:
    state, ready = body["state"], body["readiness"]
    line = Text.assemble(
        (printable(body["machine_id"]), "bold"), "  ", (state, _STYLES.get(state, "yellow")),
        f"  {ready['present']} of {ready['required']} required models  up {time_text(body['uptime_seconds'])}",
    )  # fmt: skip
    console.print(line)
    for kind, word in (("total", ""), ("optional", " (optional)")):
        total = body[kind]
        if total["present"] < total["models"]:
            console.print(Text(f"  {total_text(total)}{word}", style="cyan"))
    for reason in ready["reasons"][:8]:
        console.print(Text(f"  {printable(reason)}", style="yellow"), soft_wrap=True)
    if (more := len(ready["reasons"]) - 8) > 0:
        console.print(Text(f"  and {more} more", style="yellow"))


def _workflows(body: dict[str, Any]) -> Table:
    table = _table("workflow", "ready", "why not")
    for name, flow in body["readiness"]["workflows"].items():
        word = Text("yes", style="green") if flow["ready"] else Text("no", style="yellow")
        table.add_row(Text(printable(name)), word, Text(printable("; ".join(flow["reasons"]), 160)))
    return table


def _models(body: dict[str, Any], width: int) -> Table:
    """Who needs a model is left out where there is no room for it."""
    names = ("model", "size", "state", "needed by")
    columns = names if width >= WIDE else names[:3]
    table = _table(*columns)
    now = datetime.now(UTC)
    transfers = {(item["folder"], item["name"]): item for item in body["transfers"]}
    for model in body["models"]:
        needed = ", ".join(model["needed_by"]) + ("" if model["required"] else " (optional)")
        transfer = transfers.get((model["folder"], model["name"]))
        cells = (
            Text(printable(f"{model['folder']}/{model['name']}")),
            size_text(model["size"]),
            Text(_state(model, transfer, now), style=_STYLES.get(model["state"], "cyan")),
            Text(printable(needed)),
        )
        table.add_row(*cells[: len(columns)])
    return table


def _state(model: dict[str, Any], transfer: dict[str, Any] | None, now: datetime) -> str:
    match model["state"]:
        case "present":
            return f"present ({model['evidence']})"
        case "fetching" if transfer:
            return _fetching(transfer)
        case "verifying" if transfer and transfer["total"]:
            return f"verifying {_percent(transfer)}"
        case "waiting" | "failed" if transfer:
            aside = filter(None, (until_text(transfer["retry_at"], now), f"attempt {transfer['attempt']}"))
            return f"{model['state']} ({', '.join(aside)}): {printable(model['why'], 160)}"
        case "refused":
            return f"refused: {printable(model['why'], 160)}"
        case state:
            return str(state)


def _fetching(transfer: dict[str, Any]) -> str:
    """'fetching 50 % 2.0 MB/s 3m10s, 8 connections to h': what is not known is left out."""
    figures = (
        _percent(transfer) if transfer["total"] else size_text(transfer["bytes"]),
        speed_text(transfer["speed"]) if transfer["speed"] else "",
        time_text(transfer["eta"]),
    )
    lines = transfer["connections"]
    over = f", {lines} connections to {printable(transfer['host'], 60)}" if lines > 1 else ""
    return " ".join(filter(None, ("fetching", *figures))) + over


def _percent(transfer: dict[str, Any]) -> str:
    return f"{int(100 * transfer['bytes'] / transfer['total'])} %"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    return table


def _foot(console: Console, body: dict[str, Any]) -> None:
    inventory = body["inventory"]
    console.print(
        f"inventory {inventory['models']} files, {size_text(inventory['bytes'])}, {inventory['unhashed']} not hashed yet; "
        f"watching: {body['watching']}; redis: {body['redis']['state']}"
    )
    for disk in body["disks"]:
        console.print(
            f"disk {printable(disk['root'])}: {size_text(disk['free'])} free of {size_text(disk['total'])}",
            soft_wrap=True,
        )
    for problem in body["problems"]:
        console.print(Text(f"! {printable(problem, 400)}", style="red"), soft_wrap=True)
