"""The files that say which directories are one model: names only, nothing is opened."""

from __future__ import annotations

import os
from typing import Final

from model_manager.errors import RootAway

MAX_DIRECTORIES: Final = 100_000
"""Directories of one walk, as in a scan: links that point at each other make endless trees."""

_NAMES: Final = frozenset({"model_index.json", "config.json"})
_ENDING: Final = ".index.json"


def markers_below(path: str) -> set[str]:
    """Absolute paths of every `model_index.json`, `config.json` and `*.index.json` below a directory.

    Linked directories are followed, never in circles; hidden ones are not entered, and one that cannot be read has none.
    Raises RootAway when the directory itself cannot be listed.
    """
    try:
        os.scandir(path).close()
    except OSError as error:
        raise RootAway(root=path, why=error.strerror) from error
    found: set[str] = set()
    stack: list[tuple[str, frozenset[tuple[int, int]]]] = [(path, frozenset())]
    for _ in range(MAX_DIRECTORIES):
        if not stack:
            break
        stack.extend(_enter(*stack.pop(), found))
    return found


def _enter(
    path: str, ancestors: frozenset[tuple[int, int]], found: set[str]
) -> list[tuple[str, frozenset[tuple[int, int]]]]:
    """The directories in this one, each with all above it. Its markers go to `found`."""
    below: list[str] = []
    try:
        state = os.stat(path)
        identity = (state.st_dev, state.st_ino)
        if identity in ancestors:
            return []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    below.append(entry.path)
                elif (entry.name in _NAMES or entry.name.endswith(_ENDING)) and entry.name.isprintable():
                    found.add(entry.path)
    except OSError:
        return []
    return [(directory, ancestors | {identity}) for directory in below]
