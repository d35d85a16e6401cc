"""Structured logs: every line is one event with fields. JSON under PM2 and in the file, readable in a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from model_manager.errors import printable
from model_manager.facts import wire

if TYPE_CHECKING:
    from loguru import Message, Record

ROTATION = 10_000_000
"""Bytes of the log file before it is set aside; three are kept."""

_LEVEL_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31", "SUCCESS": "32"}


def start_logs(file: Path | None, level: str, *, console: bool = True) -> None:
    """Send every log line to standard error and to `file`. A full disk or a closed pipe never stops the service."""
    logger.remove()
    if console:
        logger.add(_Console(), level=level, format="{message}", catch=True)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            logger.add(
                file,
                level=level,
                format=_json_line,
                rotation=ROTATION,
                retention=3,
                catch=False,
                errors="backslashreplace",
            )


class _Console:
    def __init__(self) -> None:
        self._json = "pm_id" in os.environ
        self._colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def write(self, message: Message) -> None:
        line = _json(message.record) if self._json else self._readable(message.record)
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except OSError:
            return  # the reader is gone or its disk is full; the service is not

    def _readable(self, record: Record) -> str:
        fields = " ".join(
            f"{key}={printable(_short(value))}" for key, value in record["extra"].items() if value not in ("", [], None)
        )
        name = record["level"].name
        colour = _LEVEL_COLOURS.get(name) if self._colour else None
        text = printable(record["message"])
        head = f"\x1b[{colour}m{name:<7} {text}\x1b[0m" if colour else f"{name:<7} {text}"
        return f"{record['time']:HH:mm:ss} {head}  {fields}".rstrip()


def _short(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _json_line(record: Record) -> str:
    record["extra"]["_line"] = _json({**record, "extra": {k: v for k, v in record["extra"].items() if k != "_line"}})
    return "{extra[_line]}\n"


def _json(record: Record) -> str:
    line = {
        "at": record["time"].isoformat(),
        "level": record["level"].name,
        "event": record["message"],
        **record["extra"],
    }
    if error := record["exception"]:
        line["error"] = f"{error.type.__name__ if error.type else ''}: {error.value}"
    return wire.dumps(
        {
            key: value if isinstance(value, int | float | list | dict) else printable(value, 2000)
            for key, value in line.items()
        }
    ).decode()
