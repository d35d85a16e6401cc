"""What the agent's socket answers, or the message that says why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from model_manager.cli.channel import SOCKET_NAME, ask, state_directory
from model_manager.errors import Refused

state_option = click.option(
    "--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="The agent's state directory."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def socket_of(state_dir: Path | None) -> Path:
    return state_directory(state_dir, os.environ) / SOCKET_NAME


def answer(state_dir: Path | None, method: str, path: str, timeout: float = 30.0) -> dict[str, Any]:
    """The agent's answer. Raises AgentAway when it does not answer, Refused when it refuses."""
    status, body = ask(socket_of(state_dir), method, path, timeout=timeout)
    if status >= 400:
        raise Refused(what=str(body.get("error") or body.get("reason") or f"The agent answered {status}."))
    return body
