"""Where files stand, written down so that a part of a name or of a path finds them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from model_manager.index import naming, paths
from model_manager.index.database import Database

SPARE: Final = 1_000
"""Names beyond twice those of the files that may be left over."""


def add(db: Database, slots: Collection[naming.Slot]) -> None:
    """Slots that files have from now on."""
    naming.add(db, slots)
    paths.add(db, {(category, slot[: slot.rfind("/") + 1]) for category, slot in slots})


def tidy(db: Database) -> None:
    """Begin anew when most names are of files that left, or when names are missing: an older schema had other rows."""
    (files,) = db.first("count_all") or (0,)
    if not files <= naming.count(db) <= 2 * files + SPARE:
        with db.writing():
            db.all("empty_names")
            paths.empty(db)
            add(db, db.all("slots"))
