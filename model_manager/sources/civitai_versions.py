"""What CivitAI's bulk answers say, and of which of our files: read from the answer alone, never from its order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from yarl import URL

from model_manager.errors import BadUrl, StrangeAnswer
from model_manager.facts.record import without_token
from model_manager.sources.transport.guard import Guard, is_at

HOSTS: Final = frozenset({"civitai.com"})


Record = Mapping[str, Any]
"""A model version as `GET /api/v1/model-versions/{id}` gives it. It has an `id`, and `files` holds only those with the hash
that was asked about; nothing else of it is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """One answer, by SHA-256 in lower case. `others`: ids of later versions that hold a found file too, for people publish each
    other's. `absent`: CivitAI does not know them: a negative answer, which says nothing against what was known before.
    `doubtful`: something in the answer could not be read, and it may have been these: neither known nor unknown, and why."""

    found: Mapping[str, Record] = field(default_factory=dict)
    others: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    doubtful: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionIds:
    """As Versions, with nothing but the ids of the versions that hold a file, the first published first."""

    found: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    doubtful: Mapping[str, str] = field(default_factory=dict)


def versions_of(rows: Sequence[Any], asked: Collection[str], base: URL) -> Versions:
    """Full records. A file in several versions is told by the lowest id, which was published first.

    Raises StrangeAnswer when there are rows, and none of them is a version.
    """
    known = [(row, set(_hashes(row))) for row in rows if _is_version(row)]
    _insist_known(rows, known, base)
    holding: defaultdict[str, dict[int, Record]] = defaultdict(dict)
    for row, hashes in known:
        for sha256 in hashes.intersection(asked):
            holding[sha256][row["id"]] = row
    others = {sha256: tuple(sorted(rows_by_id)[1:]) for sha256, rows_by_id in holding.items() if len(rows_by_id) > 1}
    absent, doubtful = _rest(asked, holding, _doubt(rows, known, asked))
    return Versions(
        found={sha256: _narrowed(sha256, rows_by_id[min(rows_by_id)], base) for sha256, rows_by_id in holding.items()},
        others=others,
        absent=absent,
        doubtful=doubtful,
    )


def _doubt(rows: Sequence[Any], known: Sequence[tuple[Record, set[str]]], asked: Collection[str]) -> str:
    if len(known) < len(rows):
        return f"{len(rows) - len(known)} records of the answer cannot be read"
    strangers = [row["id"] for row, hashes in known if hashes.isdisjoint(asked)]
    return f"version {strangers[0]} was named, but shows no file with the hash" if strangers else ""


def ids_of(rows: Sequence[Any], asked: Collection[str], base: URL) -> VersionIds:
    """`[{"modelVersionId": …, "hash": …}]`. Raises StrangeAnswer as `versions_of` does."""
    known = [row for row in rows if _is_pair(row)]
    _insist_known(rows, known, base)
    holding: defaultdict[str, set[int]] = defaultdict(set)
    for row in known:
        holding[row["hash"].lower()].add(row["modelVersionId"])
    found = {sha256: tuple(sorted(holding[sha256])) for sha256 in asked if sha256 in holding}
    absent, doubtful = _rest(asked, found, "records of the answer cannot be read" if len(known) < len(rows) else "")
    return VersionIds(found=found, absent=absent, doubtful=doubtful)


def _insist_known(rows: Sequence[Any], known: Sequence[object], base: URL) -> None:
    if rows and not known:
        raise StrangeAnswer(host=base.host, name="model versions by hash", why="none of its records can be read")


def _rest(asked: Collection[str], found: Collection[str], doubt: str) -> tuple[frozenset[str], dict[str, str]]:
    rest = frozenset(asked).difference(found)
    return (frozenset(), dict.fromkeys(sorted(rest), doubt)) if doubt else (rest, {})


def _is_version(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is int and isinstance(row.get("files"), list)


def _is_pair(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("modelVersionId")) is int and isinstance(row.get("hash"), str)


def _hashes(row: Record) -> Iterator[str]:
    return (sha256 for file in row["files"] if (sha256 := _hash(file)))


def _hash(file: Any) -> str | None:
    hashes = file.get("hashes") if isinstance(file, dict) else None
    sha256 = hashes.get("SHA256") if isinstance(hashes, dict) else None
    return sha256.lower() if isinstance(sha256, str) else None


def _narrowed(sha256: str, row: Record, base: URL) -> Record:
    files = [_mended(file, base) for file in row["files"] if _hash(file) == sha256]
    return {**_mended(row, base), "files": files}


def _mended(record: Record, base: URL) -> dict[str, Any]:
    """Its download address leads to where we asked: bulk answers were seen that name the host `undefined`. No token stays in
    it, and one that is no address goes."""
    kept = {name: value for name, value in record.items() if name != "downloadUrl"}
    with_address = _address(record.get("downloadUrl"), base)
    return kept | ({"downloadUrl": with_address} if with_address else {})


def _address(text: object, base: URL) -> str | None:
    if not isinstance(text, str):
        return None
    try:
        url = Guard({base.host or ""}).check(without_token(text))
        ours = url.origin() == base.origin() or is_at(str(url), HOSTS)
        return str(url if ours else base.origin().join(url.relative()))
    except (BadUrl, ValueError):
        return None
