"""Whether a models directory is really there: each own one carries a marker, so that an unmounted one is not an empty one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from model_manager.errors import BadRecord, DiskUnavailable
from model_manager.facts.disk import Root
from model_manager.facts.wire import dumps, loads
from model_manager.library.disk import Disk, opened, translating, write_whole

MARKER: Final = ".model_manager"
PARTIAL: Final = ".model_manager_partial"
QUARANTINE: Final = ".model_manager_quarantine"
TRASH: Final = ".model_manager_trash"
"""What is ours in a models directory; scanning passes over names with a leading dot."""

_MAX_MARKER: Final = 4096


def quarantined(root: str) -> int:
    """Files in its quarantine, 0 while it has none. Blocks. Raises OSError for one that cannot be read."""
    try:
        return len(os.listdir(os.path.join(root, QUARANTINE)))
    except FileNotFoundError:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """It is there. `id` is its marker's; empty for directories that we only read, of which `device` is the st_dev."""

    id: str
    device: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """It is there and was never ours: mark it before the first write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """It is not there, or not the one that we know: nothing below it may count as vanished, and nothing is written."""

    why: str


def inspect(root: Root, *, known_id: str | None = None, had_files: bool = False) -> Present | Fresh | Away:
    """Look at a root. `known_id` is the id that its marker had before; `had_files` whether the index knows files in it.

    Raises nothing: whatever cannot be read is Away with the reason.
    """
    try:
        if not stat.S_ISDIR(os.stat(root.path).st_mode):
            return Away(why="it is not a directory")
        if not root.own:
            return _foreign(root.path, had_files)
        return _own(root.path, known_id)
    except FileNotFoundError:
        return Away(why="it does not exist")
    except OSError as error:
        return Away(why=f"it cannot be read ({error.strerror})")


def _foreign(path: str, had_files: bool) -> Present | Away:
    with os.scandir(path) as entries:
        if had_files and next(entries, None) is None:
            return Away(why="it held models and is now completely empty, as a mount point without its volume is")
    return Present(id="", device=os.stat(path).st_dev)


def any_there(files: Iterable[str]) -> bool:
    """Whether there is still something at any of these paths."""
    return any(map(os.path.lexists, files))


def _own(path: str, known_id: str | None) -> Present | Fresh | Away:
    found = _read(path)
    if isinstance(found, Away):
        return found
    if found is None:
        return Fresh() if known_id is None else Away(why=f"its marker {MARKER} is gone, as on a volume not mounted")
    if known_id is not None and found != known_id:
        return Away(why=f"its marker says {found}, but {known_id} belongs here: another volume is mounted")
    return Present(id=found)


def _read(path: str) -> str | Away | None:
    """The id in the marker, or None without one."""
    try:
        with opened(os.path.join(path, MARKER), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as fd:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return Away(why=f"its marker {MARKER} is not a file")
            body = loads(os.read(fd, _MAX_MARKER), MARKER)
    except FileNotFoundError:
        return None
    except BadRecord as error:
        return Away(
            why=f"its marker {MARKER} is damaged ({error.facts['why']}); delete it if this is the right directory"
        )
    if isinstance(body, dict) and isinstance(body.get("root"), str) and body["root"]:
        return str(body["root"])
    return Away(why=f"its marker {MARKER} names no root; delete it if this is the right directory")


def mark(path: str, disk: Disk | None = None) -> str:
    """Put a marker into an own root, durably, and return its id; the id that is there already is kept.

    The directory must exist: a mistyped path is never created. Raises DiskUnavailable or NoSpace.
    """
    with translating(os.path.join(path, MARKER), "write"), opened(path, os.O_RDONLY | os.O_DIRECTORY) as folder:
        found = _read(path)
        if isinstance(found, Away):
            raise DiskUnavailable(path=path, doing="mark", why=found.why)
        if found is not None:
            return found
        made = secrets.token_hex(16)
        write_whole(disk or Disk(), folder, MARKER, dumps({"root": made, "of": "model_manager"}) + b"\n", 0o644)
        return made
