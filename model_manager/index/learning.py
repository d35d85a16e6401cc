"""What others know of contents is entered here, and what is left to find out is asked for here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from model_manager.facts import wire
from model_manager.facts.description import ORDER, Lore
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.known import Answer, Outcome, Question
from model_manager.index.database import Database, Row
from model_manager.index.rows import held_of, mark_of

SAMPLER: Final = "another program"
"""Who claims the quick hashes that Lore brings: they are kept as claims, with their formula for an algorithm."""


def learn(db: Database, lore: Sequence[tuple[str, Lore]], at: str) -> tuple[str, ...]:
    """Attach what others know of files to their contents; the files that took nothing: they are not held, or have another
    size now than when it was learnt. Nothing known is overwritten by less."""
    files = wire.dumps(sorted({file for file, _ in lore})).decode()
    contents = {file: (content, size) for file, content, size in db.rows("contents_at", {"files": files})}
    taken = [(contents[file][0], one) for file, one in lore if file in contents and _same(one, contents[file][1])]
    db.each("put_address", (row for content, one in taken for row in _addresses(content, one, at)))
    db.each("put_claim", (row for content, one in taken for row in _claims(content, one, at)))
    db.each("put_told", (row for content, one in taken for row in _told(content, one)))
    db.each("put_preview", ((content, one.preview) for content, one in taken if one.preview))
    return tuple(file for file, one in lore if file not in contents or not _same(one, contents[file][1]))


def undescribed(db: Database, limit: int, without: Sequence[str]) -> tuple[Held, ...]:
    asked = {"limit": limit, "without": wire.dumps(without).decode()}
    return tuple(map(held_of, db.rows("undescribed", asked)))


def described(db: Database, files: Iterable[Held]) -> None:
    db.each("describe", ((held.file, *mark_of(held.fingerprint)) for held in files))


def unsampled(db: Database, limit: int, read: bool) -> tuple[Held, ...]:
    return tuple(map(held_of, db.rows("unsampled", {"limit": limit, "read": read})))


def sampled(db: Database, found: Iterable[tuple[str, Fingerprint, str]]) -> None:
    db.each("sample", ((quick, file, *mark_of(fingerprint)) for file, fingerprint, quick in found))


def troubled(db: Database, found: Iterable[tuple[Held, str]]) -> None:
    db.each("trouble", ((why, held.file, *mark_of(held.fingerprint)) for held, why in found))


def unasked(db: Database, service: str, now: float, limit: int) -> tuple[Question, ...]:
    rows = db.rows("unasked", {"service": service, "now": now, "limit": limit})
    return tuple(Question(sha256=sha256, file=file, before=_answer(sha256, *before)) for sha256, file, *before in rows)


def answered(db: Database, service: str, answers: Iterable[Answer]) -> None:
    db.each("put_asked", ((service, one.sha256, one.outcome, one.at, one.due, one.times) for one in answers))


def _answer(sha256: str, outcome: Outcome | None, at: float, due: float, times: int) -> Answer | None:
    if outcome is None:
        return None
    return Answer(sha256=sha256, outcome=outcome, at=at, due=due, times=times)


def _same(lore: Lore, size: int) -> bool:
    return lore.size is None or lore.size == size


def _addresses(content: int, lore: Lore, at: str) -> Iterator[Row]:
    for address in lore.addresses:
        yield content, address.url, address.kind, wire.dumps(dict(sorted(address.data.items()))).decode(), at


def _claims(content: int, lore: Lore, at: str) -> Iterator[Row]:
    for claim in lore.claims:
        yield content, claim.pin.hex, "|".join(claim.pin.algorithms), claim.who, at
    for formula, digits in lore.quick:
        yield content, digits, formula, SAMPLER, at


def _told(content: int, lore: Lore) -> Iterator[Row]:
    for told in lore.told:
        if told.value:
            yield content, told.field, told.teller, ORDER.index(told.teller), told.value, told.at
