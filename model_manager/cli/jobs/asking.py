"""What a job asks of a machine, as options of a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from model_manager.errors import BadRecord, BadRequest
from model_manager.facts import wire

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--service", metavar="NAME", help="The service that does it, such as comfyui."),
    click.option(
        "--model", "models", multiple=True, metavar="NAME", help="A model that it needs; more than once for more."
    ),
    click.option("--gpu-memory", "gpu_memory_gb", type=float, metavar="GB", help="Graphics memory that it needs."),
    click.option("--storage", "storage_gb", type=float, metavar="GB", help="Free disk that it needs."),
    click.option(
        "--requirement", metavar="JSON", help="All that it asks, as JSON, or @FILE; the other options are added to it."
    ),
    click.option("--customer", default="", metavar="ID", help="Whose it is."),
    click.option(
        "--workflow", default="", metavar="ID", help="Only workers that are bound to this workflow, and unbound ones."
    ),
)


def asking(command: Command) -> Command:
    """Adds the options; the command gets them by their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def requirement(given: str | None, **options: Any) -> Mapping[str, Any]:
    """The requirement that the options mean together. Raises BadRequest when the JSON is none."""
    said = {name: value for name, value in options.items() if value not in (None, ())}
    return {**_read(given), **said} if given else said


def _read(given: str) -> Mapping[str, Any]:
    try:
        text = Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()
        body = wire.loads_unique(text, "--requirement")
    except (OSError, BadRecord) as error:
        raise BadRequest(why=f"--requirement: {error}", fix="Write a JSON object, or @FILE.") from None
    if not isinstance(body, dict):
        raise BadRequest(
            why="--requirement is no JSON object", fix='Write for example \'{"models": ["x.safetensors"]}\'.'
        )
    return body


def print_json(answer: object) -> None:
    """A record as JSON."""
    click.echo(json.dumps(json.loads(wire.dumps(answer))))
