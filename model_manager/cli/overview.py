"""The fleet as a table: a line for each machine, those that need somebody first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from model_manager.cli.figures import size_text, speed_text, time_text
from model_manager.errors import printable

STYLES: Final = {"live": "green", "stale": "yellow", "away": "red"}

ORDERS: Final = ("need", "machine", "moving", "free", "models")

_COLUMNS: Final = ((0, "machine"), (0, "state"), (0, "ready"), (40, "models"), (50, "workflows"), (62, "moving"),
                   (76, "free"), (88, "seen"), (100, "version"), (116, "why"))  # fmt: skip
"""From how many columns of the terminal on a column is shown."""

_RIGHT: Final = frozenset({"models", "workflows", "moving", "free", "seen"})

Machine = Mapping[str, Any]


def ordered(machines: Sequence[Machine], by: str = "need") -> list[Machine]:
    """By `need`: stale ones, then live ones that are not ready, then ready ones, and those that are away at the end. By name; by
    what moves most; by who has least room; by who has most models."""
    return sorted(machines, key=lambda machine: (_rank(machine, by), machine["machine_id"]))


def _rank(machine: Machine, by: str) -> float:
    match by:
        case "need":
            return {"stale": 0, "live": 2 if machine["ready"] else 1}.get(machine["state"], 3)
        case "moving":
            return -float(machine["speed"] if machine["downloads"] else -1)
        case "free":
            return float("inf") if machine["free"] is None else float(machine["free"])
        case "models":
            return -float(machine["models"])
        case _:
            return 0


def overview(machines: Sequence[Machine], width: int, by: str = "") -> Table:
    """As many columns as fit into a terminal of so many; the one by which they are ordered is marked."""
    names = [name for least, name in _COLUMNS if width >= least]
    table = Table(box=None, pad_edge=False)
    for name in names:
        head = Text(name, style="reverse") if name == by else name
        table.add_column(head, justify="right" if name in _RIGHT else "left", no_wrap=True, overflow="ellipsis")
    for machine in machines:
        table.add_row(*(_cell(machine, name) for name in names))
    return table


def headline(fleet: Mapping[str, Any]) -> list[Text]:
    """The fleet in a line or two; the second one says what is wrong with the picture itself."""
    machines, models, downloads = fleet["machines"], fleet["models"], fleet["downloads"]
    parts = [
        f"{machines['live']} live, {machines['stale']} stale, {machines['away']} away",
        f"{machines['ready']} ready",
        f"{fleet['workflows']['ready']} of {fleet['workflows']['assigned']} workflows served",
        f"{_counted(models['distinct'], 'model')}, {size_text(models['bytes'])}",
    ]
    if downloads["running"]:
        parts.append(f"{_counted(downloads['running'], 'download')}, {speed_text(downloads['speed'])}")
    lines = [Text(" · ".join(parts), style="bold")]
    if why := doubt(fleet):
        lines.append(Text(why, style="yellow"))
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def doubt(fleet: Mapping[str, Any]) -> str:
    """Why the picture may not be true, empty when it is."""
    redis = fleet["redis"]
    if redis["away"]:
        return printable(f"as of {time_text(redis['age'])} ago: {redis['away']}", 240)
    if not fleet["exact"]:
        unsure = fleet["machines"]["unsure"]
        return f"inventories are being read: {unsure} machines to go" if unsure else "inventories are being read"
    if redis["lag_seconds"] >= 1:
        return f"{redis['lag_entries']} events behind, {time_text(redis['lag_seconds'])}"
    return ""


def _cell(machine: Machine, name: str) -> Text:
    match name:
        case "machine":
            return Text(printable(machine["machine_id"], 60))
        case "state":
            state = machine["state"]
            return Text(machine["phase"] or state if state == "live" else state, style=STYLES[state])
        case "ready":
            return Text("yes", style="green") if machine["ready"] else Text("no", style="yellow")
        case "models":
            return Text(f"{machine['present']}/{machine['required']} of {machine['models']}")
        case "workflows":
            return Text(f"{machine['workflows_ready']}/{machine['workflows']}")
        case "moving":
            return Text(_moving(machine))
        case "free":
            return Text("" if machine["free"] is None else size_text(machine["free"]))
        case "seen":
            return Text(_seen(machine))
        case "version":
            return Text(printable(machine["version"], 20))
        case _:
            return Text(printable(machine["unsure"] or "; ".join(machine["reasons"]), 120))


def _seen(machine: Machine) -> str:
    """How long ago it was heard; of a live machine only that it beats."""
    at = machine["last_seen"]
    return "" if at is None or machine["state"] == "live" else f"{time_text(max(0.0, time.time() - at))} ago"


def _moving(machine: Machine) -> str:
    if not machine["downloads"]:
        return ""
    return " ".join(filter(None, (speed_text(machine["speed"]), time_text(machine["eta"]))))
