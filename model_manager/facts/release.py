"""Versions of a model as CivitAI publishes them: read from a record of `GET /api/v1/models` (developer.civitai.com, Models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from model_manager.facts import wording
from model_manager.facts.civitai import KILOBYTE, Record, entries, file_of, files_of, listed
from model_manager.facts.description import Address

_DOWNLOAD: Final = "https://civitai.com/api/download/models/"
_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version. `published` is ISO 8601 UTC, "" where it is not told; `file` and `size` (bytes, about; 0 unknown) are of its
    primary file, whose SHA-256 is the first of `hashes`, those of its other files follow; `url` where it is fetched from."""

    version: str
    name: str
    base: str
    published: str
    file: str
    size: int
    hashes: tuple[str, ...]
    url: str

    @property
    def number(self) -> int:
        """Later versions have higher ones."""
        return int(self.version)


def releases_of(record: Record) -> tuple[str, tuple[Release, ...]] | None:
    """The model's number and its versions, latest first; None for what is no such record. A version that cannot be read is left
    out, and so is one that is no file yet."""
    model = wording.identity(record.get("id"))
    if model is None or not isinstance(record.get("modelVersions"), list):
        return None
    found = (_release(each) for each in map(entries, listed(record.get("modelVersions"))))
    releases = {each.version: each for each in found if each}
    return model, tuple(sorted(releases.values(), key=lambda each: -each.number))


def kept_releases(rows: Any) -> tuple[Release, ...]:
    """As they were kept, field by field."""
    return tuple(Release(**{**row, "hashes": tuple(row["hashes"])}) for row in rows)


def _release(row: Record) -> Release | None:
    version, file = wording.identity(row.get("id")), file_of(row)
    if version is None or len(version) > 12 or file is None:
        return None
    own = Address.parse(file.get("downloadUrl")) or Address.parse(f"{_DOWNLOAD}{version}")
    size = wording.number(file.get("sizeKB"))
    others = [each for each in files_of(row) if each is not file]
    return Release(
        version=version,
        name=wording.name(row.get("name")) or version,
        base=wording.name(row.get("baseModel")) or "",
        published=wording.date(row.get("publishedAt")) or wording.date(row.get("createdAt")) or "",
        file=wording.name(file.get("name")) or "",
        size=round(size * KILOBYTE) if size else 0,
        hashes=tuple(dict.fromkeys(filter(None, map(_sha256, (file, *others))))),
        url=own.url if own else "",
    )


def _sha256(file: Record) -> str:
    value = entries(file.get("hashes")).get("SHA256")
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if len(text) == 64 and set(text) <= _DIGITS else ""
