"""A version record of CivitAI, as its API answers it and as `civitai.info` files keep it (CivitAI REST API, /model-versions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from model_manager.facts import wording
from model_manager.facts.description import Address, Field, Said, Teller, claims_of, told_of

KILOBYTE: Final = 1024
"""Bytes of CivitAI's sizeKB. It is rounded, so that a file fits when it is less than one away."""

_DOWNLOAD: Final = "https://civitai.com/api/download/models/"

Record = Mapping[str, object]


def files_of(record: Record) -> tuple[Record, ...]:
    """The files of a version, without what is no object."""
    return tuple(file for file in listed(record.get("files")) if isinstance(file, Mapping))


def file_of(record: Record, *, size: int | None = None, sha256: str = "", name: str = "") -> Record | None:
    """Which of the version's files is meant: by SHA-256 (hex), else by size in bytes and then name, else the primary one.

    None when none of them can be it: a version holds several (fp16, fp32, a VAE, a config), each with its own hashes.
    """
    files = files_of(record)
    if sha256:
        named = [file for file in files if _hash(file) == sha256.lower()]
        if named:
            return named[0]
    if size is not None:
        files = tuple(file for file in files if fits(file.get("sizeKB"), size) is not False)
    preferred = [file for file in files if file.get("name") == name] or [file for file in files if file.get("primary")]
    return next(iter(preferred or files), None)


def fits(kilobytes: object, size: int) -> bool | None:
    """Whether a file of `size` bytes is what somebody gave a size in kB for; None when that is no number."""
    told = wording.number(kilobytes)
    return None if told is None else abs(told * KILOBYTE - size) < KILOBYTE


def _hash(file: Record) -> str:
    value = entries(file.get("hashes")).get("SHA256")
    return value.lower() if isinstance(value, str) else ""


def entries(value: object) -> Record:
    """An object of the record, empty when there is something else in its place."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> Sequence[object]:
    """A list of the record, empty when there is something else in its place; never more than a hundred."""
    return value[:100] if isinstance(value, list) else ()


def fields_of(record: Record, file: Record | None) -> dict[Field, object]:
    """The fields that a version record tells, uncleaned. `file` is the one of its files that is meant."""
    model, here = entries(record.get("model")), file or {}
    own = record.get("name")
    return {
        "name": model.get("name"),
        "type": model.get("type"),
        "civitai_id": record.get("modelId") or model.get("id"),
        "civitai_version_id": record.get("modelVersionId") or record.get("id"),
        "civitai_model_name": model.get("name"),
        "civitai_model_base": record.get("baseModel") or model.get("baseModel"),
        "civitai_model_type": model.get("type"),
        "civitai_model_version_name": own if own != model.get("name") else None,
        "civitai_model_version_desc": first(record.get("description"), model.get("description")),
        "civitai_model_version_date": record.get("createdAt") or record.get("publishedAt"),
        "civitai_download_url": here.get("downloadUrl") or record.get("downloadUrl"),
        "civitai_trained_words": record.get("trainedWords"),
        "civitai_file_size_kb": here.get("sizeKB"),
        "civitai_nsfw": model.get("nsfw"),
        "preview_url": preview_of(record),
    }


def first(*values: object) -> object:
    """The first that says something."""
    return next((value for value in values if value not in (None, "", [])), None)


def preview_of(record: Record) -> object:
    """The address of the first image that is no video, else of the first."""
    shown = [image for image in map(entries, listed(record.get("images"))) if image.get("url")]
    return next((image["url"] for image in shown if image.get("type") != "video"), shown[0]["url"] if shown else None)


def said(record: Record, file: Record | None, teller: Teller, at: str, who: str = "civitai") -> Said:
    """All that a version record says of the model whose file is `file`; hashes are told of that file alone."""
    fields = fields_of(record, file)
    return Said(
        told=told_of(fields, teller, at),
        claims=claims_of(entries((file or {}).get("hashes")), who),
        addresses=addresses_of(fields),
    )


def addresses_of(fields: Mapping[Field, object]) -> tuple[Address, ...]:
    """Where the model can be had: the address that is told, or CivitAI's for the version."""
    model, version = (wording.identity(fields.get(key)) for key in ("civitai_id", "civitai_version_id"))
    data = {key: value for key, value in (("model_id", model), ("version_id", version)) if value}
    told = Address.parse(fields.get("civitai_download_url"), data)
    found = told or (Address.parse(f"{_DOWNLOAD}{version}", data) if version else None)
    return (found,) if found else ()
