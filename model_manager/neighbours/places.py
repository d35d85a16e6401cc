"""Where the files of another program's records are on this machine."""

from __future__ import annotations

import os
import re

from model_manager.neighbours.documents import State, state_of

_DRIVE = re.compile(r"[A-Za-z]:")


def place(directory: str, name: str, base: str | None) -> tuple[str, State] | None:
    """The regular file that a record calls `name` in `directory`, and what stat says of it; None when it is not here.

    `base` is where the recorded directories are on this machine (a container's or another machine's records name others): then
    the longest end of the recorded path that is there below `base` is the file. A name that leads out of its directory is none.
    """
    parts = _parts(directory)
    inner = _parts(name)
    if not inner or ".." in (*parts, *inner) or "\0" in directory + name:
        return None
    if base is not None:
        return _below(base, [*parts, *inner])
    if not directory.startswith("/"):
        return None
    return _seen(os.path.join("/", *parts, *inner))


def _below(base: str, parts: list[str]) -> tuple[str, State] | None:
    return next(filter(None, (_seen(os.path.join(base, *parts[start:])) for start in range(len(parts)))), None)


def _seen(file: str) -> tuple[str, State] | None:
    state = state_of(file)
    return (file, state) if state else None


def _parts(path: str) -> list[str]:
    """The parts of a path of either world: StableQueue and comfygit run on Windows, too."""
    return [part for part in _DRIVE.sub("", path, count=1).replace("\\", "/").split("/") if part not in ("", ".")]
