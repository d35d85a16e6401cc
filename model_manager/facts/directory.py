"""The directories in which models are looked for, each with its own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["here", "away", "never scanned"]
TrackedBy = Literal["settings", "person"]
"""Who wants it looked at: the settings of the agent, or a person who added it and may remove it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A place in a directory that is left out, and why: `unreadable`, or with a model's name and no model for us."""

    path: str
    why: str
    unreadable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A tracked directory. `path` is absolute; `folder` is None for a models directory, or the folder that the whole
    directory is (`loras`); `own`: we may write there. `why` says why it is away, "" while it is not.

    `added_at` and `scanned_at` are ISO 8601 UTC, `scanned_at` is "" before the first scan; `scan_seconds`, `files` and
    `bytes` are of the last scan, and so are `unreadable` and `passed_over`, the numbers of places that it left out; the
    first few of them are its `remarks`.
    """

    path: str
    folder: str | None = None
    own: bool = False
    tracked_by: TrackedBy = "settings"
    added_at: str = ""
    state: State = "never scanned"
    why: str = ""
    scanned_at: str = ""
    scan_seconds: float = 0.0
    files: int = 0
    bytes: int = 0
    unreadable: int = 0
    passed_over: int = 0
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How a look at a directory ended: it is `here`, or `away` and why. `at` is ISO 8601 UTC. Of one that is away the
    figures of the last scan stay."""

    path: str
    state: Literal["here", "away"]
    at: str
    why: str = ""
    seconds: float = 0.0
    files: int = 0
    bytes: int = 0
    unreadable: int = 0
    passed_over: int = 0
    remarks: tuple[Remark, ...] = ()
