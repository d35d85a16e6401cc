"""What goes wrong beside the work stands in the log; who waits for the work is told of it too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from loguru import logger

from model_manager.errors import printable

if TYPE_CHECKING:
    from loguru import Message, Record

SHOWN: Final = 5
"""Complaints that are said one by one."""


@contextmanager
def overheard(log: Path) -> Iterator[None]:
    """Says the warnings of the block on standard error when it ends; `log` is where all of them are."""
    said: dict[str, None] = {}

    def hear(message: Message) -> None:
        said[_line(message.record)] = None

    sink = logger.add(hear, level="WARNING", format="{message}")
    try:
        yield
    finally:
        logger.remove(sink)
        for line in list(said)[:SHOWN]:
            click.echo(f"! {line}", err=True)
        if len(said) > SHOWN:
            click.echo(f"! and {len(said) - SHOWN:,} more: {printable(log, 4096)}", err=True)


def _line(record: Record) -> str:
    """What happened, to what, and why."""
    extra = record["extra"]
    subject = extra.get("file") or extra.get("directory") or extra.get("root") or ""
    parts = (record["message"], subject, extra.get("reason", ""))
    return ": ".join(printable(part, 500) for part in parts if part)
