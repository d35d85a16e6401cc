"""Files of other programs, read within bounds; nothing is ever written to them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from model_manager.errors import BadForeign, BadRecord, DiskUnavailable
from model_manager.facts import wire

MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""Bytes of a JSON file beside a model. Those with the generation data of a hundred images have some 500 kB."""

MAX_NAMES: Final = 200_000
"""Names of one directory."""

State = os.stat_result


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of a regular file, for reading. Raises BadForeign for what is none, DiskUnavailable when it cannot be
    read; also for a failure within the block."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadForeign(path=path, why="it is not a regular file")
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> DiskUnavailable:
    return DiskUnavailable(path=path, doing="read", why=error.strerror or type(error).__name__)


def content(path: str, limit: int) -> bytes:
    """A whole file. Raises BadForeign when it has more than `limit` bytes, else as `opened`."""
    with opened(path) as fd:
        pieces, rest = [], limit + 1
        while rest > 0 and (piece := os.read(fd, min(rest, 1 << 20))):
            pieces.append(piece)
            rest -= len(piece)
    if rest <= 0:
        raise BadForeign(path=path, why=f"it has more than {limit} bytes")
    return b"".join(pieces)


def document(path: str) -> Mapping[str, object] | None:
    """The JSON object in a file, None when it holds another JSON value. Raises BadForeign, DiskUnavailable."""
    try:
        found = wire.loads_unique(content(path, MAX_DOCUMENT).removeprefix(b"\xef\xbb\xbf"), "it")
    except BadRecord as error:
        raise BadForeign(path=path, why=str(error.facts.get("why", "it is not JSON"))) from None
    return found if isinstance(found, dict) else None


def listing(directory: str) -> tuple[str, ...]:
    """The names in a directory, sorted. Raises DiskUnavailable."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for _, entry in zip(range(MAX_NAMES), entries, strict=False)]
    except OSError as error:
        raise unreadable(directory, error) from error
    return tuple(sorted(names))


def state_of(file: str) -> State | None:
    """What stat says of a regular file, None when there is none, or the path is none."""
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return None
    return state if stat.S_ISREG(state.st_mode) else None
