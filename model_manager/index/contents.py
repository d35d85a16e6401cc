"""Contents and their locations in the database, as a change of what is held moves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from model_manager.facts import wire
from model_manager.facts.disk import Fingerprint, Held
from model_manager.index import shelving
from model_manager.index.database import Database
from model_manager.index.filing import Filing, Known
from model_manager.index.history import Change
from model_manager.index.rows import fingerprint_of, mark_of, row_of

Located = Mapping[str, tuple[Held, int]]
"""File → what is held there, and the id of its content."""


def put(db: Database, change: Change, located: Located, at: str) -> None:
    """Enter a change. Nothing that is known of bytes is lost: a content without a location stays if it has a digest, and
    two that turn out to be the same bytes become one. `at` is ISO 8601 UTC."""
    pairs = _paired(change, located)
    filing = _filing(db, pairs)
    placed = [(held, filing.put(held, before)) for held, before in pairs]
    db.each("drop_location", ((held.file,) for held in change.vanished))
    _write(db, filing)
    directories = directories_of(db, {held.root for held, _ in pairs}, at)
    db.each("put_location", (row_of(held, filing.now(one), directories[held.root], at) for held, one in placed))
    shelving.add(db, _placed(change, located))
    left = {held.file: located[held.file][1] for held in change.vanished}
    left |= {held.file: located[held.file][1] for held, before in pairs if before is None and held.file in located}
    left |= {held.file: before for held, before in pairs if before is not None}
    _leave(db, {file: one for file, one in left.items() if one not in filing.merged})


def directories_of(db: Database, roots: Iterable[str], at: str) -> dict[str, int]:
    """Path → id of the directories of files. One that nobody has named yet is one of the settings."""
    known: dict[str, int] = dict(db.all("directory_ids"))
    for root in sorted(set(roots) - known.keys()):
        db.change("find_directory", {"path": root, "at": at})
    return known if known.keys() >= set(roots) else dict(db.all("directory_ids"))


def _paired(change: Change, located: Located) -> list[tuple[Held, int | None]]:
    """Each file that is written, with the content that it was while it looked as it still does."""
    pairs: list[tuple[Held, int | None]] = [
        (new, located[new.file][1] if old.fingerprint == new.fingerprint else None) for old, new in change.changed
    ]
    return [*pairs, *((held, None) for held in change.appeared)]


def _placed(change: Change, located: Located) -> list[tuple[str, str]]:
    """Slots that were not known of their files."""
    return [
        held.shelf.slot
        for held in change.written
        if held.file not in located or located[held.file][0].shelf != held.shelf
    ]


def _filing(db: Database, pairs: list[tuple[Held, int | None]]) -> Filing:
    mates = _mates(db, [held.fingerprint for held, before in pairs if before is None])
    digests = [held.digests for held, _ in pairs if held.digests]
    asked = {
        "ids": _json(sorted({before for _, before in pairs if before is not None} | set(mates.values()))),
        "sha256": _json([one.sha256 for one in digests if one.sha256]),
        "blake3": _json([one.blake3 for one in digests if one.blake3]),
    }
    contents: dict[int, Known] = {row[0]: row[1:] for row in db.all("contents_of", asked)}
    (last,) = db.first("last_content") or (0,)
    return Filing(contents, mates, last + 1)


def _mates(db: Database, marks: list[Fingerprint]) -> dict[Fingerprint, int]:
    inodes = _json([mark_of(mark)[1] for mark in marks])
    return {fingerprint_of(*row[:4]): row[4] for row in db.rows("mates", {"inodes": inodes})}


def _write(db: Database, filing: Filing) -> None:
    db.each("new_content", ((id, size) for id, size in filing.fresh.items() if id not in filing.merged))
    for other in filing.merged:
        if other not in filing.fresh:
            _merge(db, other, filing.now(other))
    db.each("learn_content", ((*filing.contents[id], id) for id in filing.learnt if id not in filing.merged))


def _merge(db: Database, other: int, into: int) -> None:
    """Everything that is known of one content is known of another, and the first is no more."""
    values = {"other": other, "into": into}
    for query in ("move_locations", "move_addresses", "move_claims", "move_told", "move_previews", "move_quick"):
        db.change(query, values)
    db.change("drop_content", (other,))


def _leave(db: Database, left: Mapping[str, int]) -> None:
    """Contents that lost a location: without any, one that nobody has read is nothing, the others remember where it was."""
    if left:
        db.change("forget_contents", (_json(sorted(set(left.values()))),))
        db.each("remember_contents", ((file, one) for file, one in left.items()))


def _json(values: list[int] | list[str]) -> str:
    return wire.dumps(values).decode()
