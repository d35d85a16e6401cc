"""`model-manager events`: what happens on this machine, or what Redis holds of the whole fleet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from model_manager.cli.answers import json_option, socket_of, state_option
from model_manager.cli.channel import lines
from model_manager.cli.figures import total_text
from model_manager.errors import printable


@click.command()
@state_option
@json_option
@click.option("--follow", "-f", is_flag=True, help="Go on until interrupted (default: until the first quiet minute).")
@click.option(
    "--progress", type=click.FloatRange(min=0), default=10.0, show_default=True, metavar="SECONDS",
    help="Between two lines that say how far everything is, while something moves; 0 for none.",
)  # fmt: skip
def command(state_dir: Path | None, as_json: bool, follow: bool, progress: float) -> None:
    """Show this machine's events as they happen."""
    for line in lines(socket_of(state_dir), f"/events?progress={progress:g}", timeout=60.0):
        if line.startswith("data: "):
            body = json.loads(line.removeprefix("data: "))
            click.echo(json.dumps(body) if as_json else shown(body))
        elif line.startswith(": still here") and not follow:
            return


def shown(body: dict[str, Any]) -> str:
    """An event on one line."""
    data = body.get("data") or {}
    if body.get("kind") == "progress":
        return f"{body.get('at', '')}         {'progress':<24} {total_text(data['total'])}"
    parts = [
        f"{key}={printable(_short(value), 120)}"
        for key, value in data.items()
        if key != "kind" and value not in ("", [], None)
    ]
    return f"{body.get('at', '')}  {body.get('seq', ''):>5}  {body.get('kind', ''):<24} {' '.join(parts)}"


def _short(value: Any) -> Any:
    if isinstance(value, list):
        names = [
            f"{item['folder']}/{item['name']}" if isinstance(item, dict) and "folder" in item else item
            for item in value
        ]
        return ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return value
