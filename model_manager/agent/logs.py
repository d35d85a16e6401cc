"""Structured logs: every line is one event with fields. JSON under PM2 and in the file, readable in a terminal."""

from __future__ import annotations

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
KEPT = 3
"""Bytes of the log file before it is set aside, and how many old ones are kept (`.1` is the youngest)."""

_LEVEL_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31", "SUCCESS": "32"}


def start_logs(file: Path | None, level: str, *, console: bool = True) -> None:
    """Send every log line to standard error and to `file`. A full disk or a closed pipe never stops the service."""
    logger.remove()
    if console:
        logger.add(_Console(), level=level, format="{message}", catch=True)
    if file is not None:
        logger.add(_File(file), level=level, format="{message}", catch=True)


class _File:
    """Opened for each line: a log that was removed, or whose disk was full or away, goes on as soon as it can."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, message: Message) -> None:
        line = _json(message.record) + "\n"
        try:
            self._make_room()
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError:
            return  # its disk is full or away; the service is not

    def _make_room(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.is_file() or self._path.stat().st_size < ROTATION:
            return
        for number in range(KEPT, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)


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


def _json(record: Record) -> str:
    line = {
        "at": record["time"].isoformat(),
        "level": record["level"].name,
        "event": record["message"],
        **record["extra"],
    }
    if error := record["exception"]:
        line["error"] = f"{error.type.__name__ if error.type else ''}: {error.value}"
    return wire.dumps({key: _plain(value) for key, value in line.items()}).decode()


def _plain(value: Any) -> Any:
    """JSON values as they are, all else as one line of text: what is logged may be anything."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _plain(item) for key, item in value.items()}
    return printable(value, 2000)
