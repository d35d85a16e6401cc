"""Rows put together to what those see who read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from model_manager.facts import wire
from model_manager.facts.description import Address, Claim, Told
from model_manager.facts.identity import Algorithm, Pin
from model_manager.facts.known import Answer, Detail, Group, Known, Missing
from model_manager.index.database import Database, Row
from model_manager.index.rows import digests_of, fingerprint_of


def known(db: Database, ids: Sequence[int]) -> tuple[Known, ...]:
    """What is known of locations, in the order of their ids."""
    rows = {row[0]: row[1:] for row in db.rows("known", {"ids": _json(ids)})}
    told: dict[int, dict[str, str]] = {}
    for content, field, value in db.rows("titles_of", {"contents": _json(sorted({row[0] for row in rows.values()}))}):
        told.setdefault(content, {})[field] = value
    return tuple(_known(told.get(rows[location][0], {}), *rows[location]) for location in ids)


def groups(db: Database) -> Iterator[Group]:
    """Contents that lie on the disk more than once."""
    rows = db.all("duplicated")
    places = _places(db, [row[0] for row in rows])
    for content, size, *digests, _ in rows:
        if full := digests_of(*digests):
            yield Group(content_id=content, size=size, digests=full, locations=tuple(places[content]))


def missing(db: Database) -> Iterator[Missing]:
    """Contents that lie nowhere any more."""
    rows = db.all("missing")
    addresses = _addresses(db, [row[0] for row in rows])
    for content, size, *digests, file in rows:
        if full := digests_of(*digests):
            told = tuple(addresses.get(content, ()))
            yield Missing(content_id=content, size=size, digests=full, file=file, addresses=told)


def detail(db: Database, content: int, row: Row) -> Detail:
    """Everything of one content; `row` is its own."""
    size, *digests, quick, last_file = row
    places = tuple(_places(db, [content]).get(content, ()))
    one = {"id": content}
    claims, samples = _claims(db.rows("claims_of", one))
    return Detail(
        content_id=content,
        size=size,
        digests=digests_of(*digests),
        quick=quick,
        locations=places,
        addresses=tuple(_addresses(db, [content]).get(content, ())),
        claims=claims,
        samples=samples,
        told=tuple(
            Told(field=field, value=value, teller=who, at=at) for field, value, who, at in db.rows("told_of", one)
        ),
        previews=tuple(path for (path,) in db.rows("previews_of", one)),
        answers=tuple(_answers(db, digests[0])),
        last_file="" if places else last_file,
    )


def _known(told: Mapping[str, str], content: int, file: str, root: str, folder: str, name: str, *rest: Any) -> Known:
    device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, quick, *judged, claims = rest
    evidence, against, verified_at, first_seen, bundle, trouble = judged
    return Known(
        content_id=content,
        file=file,
        root=root,
        folder=folder,
        name=name,
        fingerprint=fingerprint_of(device, inode, size, mtime_ns),
        digests=digests_of(sha256, blake3, md5, crc32, tensor),
        quick=quick,
        evidence=evidence,
        against=against,
        verified_at=verified_at,
        first_seen=first_seen,
        bundle=bundle,
        trouble=trouble,
        type=told.get("type") or told.get("civitai_model_type", ""),
        base_model=told.get("civitai_model_base", ""),
        title=told.get("name") or told.get("civitai_model_name", ""),
        claims=tuple(claims.split(",")) if claims else (),
    )


def _places(db: Database, contents: Sequence[int]) -> dict[int, list[Known]]:
    ids = [row[0] for row in db.rows("locations_of", {"contents": _json(contents)})]
    found: dict[int, list[Known]] = {}
    for one in known(db, ids):
        found.setdefault(one.content_id, []).append(one)
    return found


def _addresses(db: Database, contents: Sequence[int]) -> Mapping[int, list[Address]]:
    found: dict[int, list[Address]] = {}
    for content, kind, url, data in db.rows("addresses_of", {"contents": _json(contents)}):
        found.setdefault(content, []).append(Address(kind=kind, url=url, data=wire.loads(data, "an address")))
    return found


def _claims(rows: Iterable[Row]) -> tuple[tuple[Claim, ...], tuple[tuple[str, str], ...]]:
    """Claimed hashes, and the quick hashes of other programs, which are kept beside them."""
    claims: list[Claim] = []
    samples: dict[tuple[str, str], None] = {}
    for text, digits, who in rows:
        names = tuple(text.split("|"))
        if set(names) <= set(get_args(Algorithm)):
            claims.append(Claim(pin=Pin(algorithms=names, hex=digits), who=who))
        else:
            samples[(text, digits)] = None
    return tuple(claims), tuple(samples)


def _answers(db: Database, sha256: str | None) -> Iterator[tuple[str, Answer]]:
    for service, outcome, at, due, times in db.rows("answers_of", {"sha256": sha256}):
        yield service, Answer(sha256=sha256 or "", outcome=outcome, at=at, due=due, times=times)


def _json(values: Sequence[int]) -> str:
    return wire.dumps(values).decode()
