"""What was wrong with a record that came from elsewhere, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from model_manager.catalog.records import Record
from model_manager.errors import printable

Done = Literal["fixed", "kept", "dropped", "left out"]
"""fixed: the record was mended; kept: it stands as written; dropped: that field is gone; left out: the whole record is."""

SHOWN: Final = 1000
"""Findings that a report holds; all of them are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    where: str
    what: str
    done: Done


def found(where: object, what: str, done: Done) -> Finding:
    return Finding(where=printable(where, 200), what=printable(what), done=done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A record on its way in, and what was found of it. No id: that of the record with its name, else the name.

    No version: the one that is answered. `current`: that version is the one answered from now on. `slot`: of the place where a
    model goes, as far as somebody looked.
    """

    record: Record | None
    findings: tuple[Finding, ...] = ()
    where: str = ""
    current: bool = True
    slot: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an import did, or with `dry_run` would do. `findings` are the first ones of `findings_total`."""

    dry_run: bool
    created: int
    replaced: int
    unchanged: int
    left_out: int
    findings_total: int
    findings: tuple[Finding, ...]
