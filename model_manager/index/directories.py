"""Which directories are tracked. What persons added is kept in a file beside the database too: no scan can find it again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from model_manager.errors import BadRecord, DiskUnavailable
from model_manager.facts import wire
from model_manager.facts.directory import Directory, Remark, Scan
from model_manager.facts.disk import Root
from model_manager.index.database import Database

NAME: Final = "directories.json"
"""Beside the database: {"directories": [{"path": …, "folder": … or null, "added_at": …}]}."""

Wishes = Mapping[str, tuple[str | None, str]]
"""Path → (folder, added_at) of what persons track."""


def tracked(db: Database) -> tuple[Directory, ...]:
    return tuple(map(_directory, db.rows("directories")))


def track(db: Database, beside: Path, path: str, folder: str | None, at: str) -> None:
    """A person wants a directory. The file is written first: what it says is done at the next start at the latest."""
    wishes = _wishes(db)
    _write(beside, {**wishes, path: (folder, wishes[path][1] if path in wishes else at)})
    db.change("track_directory", {"path": path, "folder": folder, "at": at})


def untrack(db: Database, beside: Path, path: str) -> bool:
    """Whether a person tracked it. It goes with its last file, and stays if the settings name it."""
    wishes = _wishes(db)
    if path not in wishes:
        return False
    _write(beside, {other: wish for other, wish in wishes.items() if other != path})
    db.change("untrack_directory", {"path": path})
    db.change("drop_directories")
    return True


def configure(db: Database, roots: Sequence[Root], at: str) -> None:
    """The settings name exactly these."""
    for root in roots:
        db.change("configure_directory", {"path": root.path, "folder": root.folder, "own": root.own, "at": at})
    db.change("leave_directories", {"paths": wire.dumps([root.path for root in roots]).decode()})
    db.change("drop_directories")


def scanned(db: Database, scan: Scan) -> None:
    if scan.state == "away":
        db.change("scanned_away", {"path": scan.path, "why": scan.why})
        return
    found = {"seconds": scan.seconds, "files": scan.files, "bytes": scan.bytes}
    left_out = {"unreadable": scan.unreadable, "passed_over": scan.passed_over}
    remarks = wire.dumps([[each.path, each.why, each.unreadable] for each in scan.remarks]).decode()
    db.change("scanned_here", {"path": scan.path, "at": scan.at, **found, **left_out, "remarks": remarks})


def recall(db: Database, beside: Path) -> str:
    """Make the database agree with the file, which knows what persons want. What is wrong with the file, "" if nothing is."""
    try:
        wanted = _read(beside)
    except BadRecord as error:
        beside.rename(f"{beside}.unreadable")
        return f"{error} It was moved to {beside}.unreadable"
    known = _wishes(db)
    if wanted is None and known:
        _write(beside, known)
    elif wanted is not None and wanted != known:
        with db.writing():
            _adopt(db, wanted, known)
    return ""


def _adopt(db: Database, wanted: Wishes, known: Wishes) -> None:
    for path, (folder, at) in wanted.items():
        db.change("track_directory", {"path": path, "folder": folder, "at": at})
    for path in known.keys() - wanted.keys():
        db.change("untrack_directory", {"path": path})


def _directory(row: Sequence[Any]) -> Directory:
    path, folder, own, tracked_by, added_at, state, why, scanned_at, seconds, files, size, *left_out = row
    unreadable, passed_over, remarks = left_out
    return Directory(
        path=path,
        folder=folder,
        own=bool(own),
        tracked_by=tracked_by,
        added_at=added_at,
        state=state,
        why=why,
        scanned_at=scanned_at,
        scan_seconds=seconds,
        files=files,
        bytes=size,
        unreadable=unreadable,
        passed_over=passed_over,
        remarks=tuple(_remarks(remarks)),
    )


def _remarks(text: str) -> Iterator[Remark]:
    for path, why, unreadable in wire.loads(text, "the remarks on a directory"):
        yield Remark(path=path, why=why, unreadable=bool(unreadable))


def _wishes(db: Database) -> dict[str, tuple[str | None, str]]:
    return {one.path: (one.folder, one.added_at) for one in tracked(db) if one.tracked_by == "person"}


def _read(beside: Path) -> Wishes | None:
    """None when there is no such file. Raises BadRecord when it does not say what it should."""
    try:
        text = beside.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskUnavailable(doing="read", path=str(beside), why=error.strerror) from error
    listed = wire.loads_unique(text, NAME)
    try:
        return {str(one["path"]): (one["folder"], str(one["added_at"])) for one in listed["directories"]}
    except (KeyError, TypeError) as error:
        raise BadRecord(name=NAME, why=f"it lacks {error}") from None


def _write(beside: Path, wishes: Wishes) -> None:
    """All of the new text or all of the old, whenever the power fails."""
    listed = [{"path": path, "folder": wish[0], "added_at": wish[1]} for path, wish in sorted(wishes.items())]
    unfinished = Path(f"{beside}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"directories": listed}, indent=1, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(beside)
        parent = os.open(beside.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise DiskUnavailable(doing="write", path=str(beside), why=error.strerror) from error
