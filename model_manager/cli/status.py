"""`model-manager status`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.answers import answer, json_option, state_option
from model_manager.cli.figures import size_text, time_text
from model_manager.errors import printable

_STYLES = {
    "present": "green",
    "failed": "red",
    "refused": "red",
    "waiting": "yellow",
    "checking": "yellow",
    "ready": "green",
}


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
    console.print(_models(body))
    _foot(console, body)


def _head(console: Console, body: dict[str, Any]) -> None:
    state, ready = body["state"], body["readiness"]
    line = Text.assemble(
        (printable(body["machine_id"]), "bold"), "  ", (state, _STYLES.get(state, "yellow")),
        f"  {ready['present']} of {ready['required']} required models  up {time_text(body['uptime_seconds'])}",
    )  # fmt: skip
    console.print(line)
    for reason in ready["reasons"][:8]:
        console.print(Text(f"  {printable(reason)}", style="yellow"), soft_wrap=True)


def _workflows(body: dict[str, Any]) -> Table:
    table = _table("workflow", "ready", "why not")
    for name, flow in body["readiness"]["workflows"].items():
        word = Text("yes", style="green") if flow["ready"] else Text("no", style="yellow")
        table.add_row(Text(printable(name)), word, Text(printable("; ".join(flow["reasons"]), 160)))
    return table


def _models(body: dict[str, Any]) -> Table:
    table = _table("model", "size", "state", "needed by")
    transfers = {(item["folder"], item["name"]): item for item in body["transfers"]}
    for model in body["models"]:
        needed = ", ".join(model["needed_by"]) + ("" if model["required"] else " (optional)")
        transfer = transfers.get((model["folder"], model["name"]))
        table.add_row(
            Text(printable(f"{model['folder']}/{model['name']}")),
            size_text(model["size"]),
            Text(_state(model, transfer), style=_STYLES.get(model["state"], "cyan")),
            Text(printable(needed)),
        )
    return table


def _state(model: dict[str, Any], transfer: dict[str, Any] | None) -> str:
    if transfer and transfer["total"] and model["state"] == "fetching":
        part = 100 * transfer["bytes"] / transfer["total"]
        return f"fetching {part:.0f} % {size_text(transfer['speed'])}/s {time_text(transfer['eta'])}"
    if model["state"] == "present":
        return f"present ({model['evidence']})"
    return str(model["state"])


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
