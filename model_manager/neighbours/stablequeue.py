"""StableQueue's database of models (`mobilesd_models.sqlite`): 24 columns in its plan, 28 and 33 in what was shipped.

Its rows are dirty in known ways (utils/modelDatabase.js, docs/DATABASE_SCHEMA.md): ids as "651553.0", the word "none", a LoRA's
strength as the file size, a flag that falls back to 0 at any update, an AutoV2 over the first MiB. It keeps neither size nor mtime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from model_manager.errors import BadForeign
from model_manager.facts import wording
from model_manager.facts.civitai import addresses_of, fits
from model_manager.facts.description import Claim, Field, Findings, Lore, Oddity, Told, claims_of, told_of
from model_manager.neighbours import databases
from model_manager.neighbours.databases import Row
from model_manager.neighbours.documents import State
from model_manager.neighbours.places import place

SMALLEST: Final = 16.0
"""Kilobytes. What is given as the size of a file and is less is the strength of a LoRA that was put into the wrong column."""

_TOLD: Final[tuple[Field, ...]] = (
    "name", "type", "civitai_id", "civitai_version_id", "forge_format",
    "civitai_model_name", "civitai_model_base", "civitai_model_type",
    "civitai_model_version_name", "civitai_model_version_desc", "civitai_model_version_date",
    "civitai_download_url", "civitai_trained_words", "civitai_file_size_kb", "civitai_nsfw", "preview_url",
)  # fmt: skip
_PLACE: Final = ("local_path", "filename", "preview_path")
_HASHES: Final = ("hash_autov2", "hash_sha256")
_AVAILABLE: Final = ("model_id", "server_id", "last_seen")


def read(database: str, at: str, *, base: str | None = None) -> Findings:
    """What StableQueue knows of files that are here; `at` is ISO 8601 UTC, when it is read.

    `base`: where its models directory is on this machine, if not where it says (its rows often hold a container's paths). A file
    that is not here is an oddity. Raises BadForeign, ForeignBusy, DiskUnavailable.
    """
    tables, odd = databases.tables(database, {"models": (*_TOLD, *_PLACE, *_HASHES)})
    models = tables.get("models")
    if models is None or not {"local_path", "filename"} <= {*models.columns}:
        raise BadForeign(path=database, why="it has no table of models like StableQueue's")
    lore: dict[str, Lore] = {}
    strange = list(odd)
    for row in models.rows:
        found, why = _lore(row, at, base)
        if found and found.file in lore:
            why = "it stands there twice; the first row is taken"
        elif found:
            lore[found.file] = found
        if why:
            strange.append(Oddity(where=found.file if found else f"{row['local_path']}/{row['filename']}", why=why))
    return Findings(lore=tuple(lore.values()), odd=tuple(strange))


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A row of a model that need not be here: `directory` and `name` as they stand there, `type` in lower case. `kilobytes` of
    the file, None where none are told; `servers` that had it, and when (ISO 8601 UTC, or empty)."""

    directory: str
    name: str
    type: str
    told: tuple[Told, ...]
    claims: tuple[Claim, ...]
    kilobytes: float | None
    servers: tuple[tuple[str, str], ...]


def remembered(database: str, at: str, *, still: bool) -> tuple[tuple[Remembered, ...], tuple[Oddity, ...], int]:
    """All that such a database knows, of whatever machine: its rows, what was left out and why, and how many there are.

    `still`: nobody else can write it. Raises BadForeign, ForeignBusy, DiskUnavailable.
    """
    wanted = {"models": ("id", *_TOLD, *_PLACE, *_HASHES), "model_server_availability": _AVAILABLE}
    tables, odd = databases.tables(database, wanted, still=still)
    models = tables.get("models")
    if models is None or not {"local_path", "filename"} <= {*models.columns}:
        raise BadForeign(path="it", why="it has no table of models like StableQueue's")
    had: dict[object, list[tuple[str, str]]] = {}
    for each in tables["model_server_availability"].rows if "model_server_availability" in tables else ():
        had.setdefault(each.get("model_id"), []).append((str(each.get("server_id")), str(each.get("last_seen") or "")))
    strange, found = list(odd), list[Remembered]()
    for row in models.rows:
        where = f"models {row.get('id')}"
        strange += (Oddity(where=where, why=why) for why in _doubts(row))
        if isinstance(row["local_path"], str | None) and isinstance(row["filename"], str) and row["filename"]:
            found.append(_remembered(row, at, tuple(had.get(row.get("id"), ()))))
        else:
            strange.append(Oddity(where=where, why="it names no file"))
    return tuple(found), tuple(strange), len(models.rows)


def _remembered(row: Row, at: str, servers: tuple[tuple[str, str], ...]) -> Remembered:
    fields, kilobytes = _fields(row)
    size = kilobytes if kilobytes is not None and kilobytes >= SMALLEST else None
    fields |= {"civitai_file_size_kb": size} if size is not None else {}
    return Remembered(
        directory=str(row["local_path"] or ""),
        name=str(row["filename"]),
        type=str(row.get("type") or "").lower(),
        told=told_of(fields, "stablequeue", at),
        claims=claims_of(_hashes(row), "stablequeue", short=False),
        kilobytes=size,
        servers=servers,
    )


def _hashes(row: Row) -> dict[str, object]:
    """But for the SHA-256 of the file's own name, which Forge puts in the place of a hash (modules/hashes.py)."""
    hashes = {key: row.get(key) for key in _HASHES}
    name = str(row.get("filename")).replace("\\", "/").rpartition("/")[2]
    if str(hashes["hash_sha256"]).strip().lower() == hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest():
        return {}
    return hashes


def _doubts(row: Row) -> Iterator[str]:
    """What of a row cannot be believed."""
    sha256 = str(row.get("hash_sha256") or "").strip().lower()
    autov2 = str(row.get("hash_autov2") or "").strip().lower()
    kilobytes = wording.number(row.get("civitai_file_size_kb"))
    if sha256 and sha256 != "none" and not claims_of(_hashes(row), "stablequeue", short=False):
        yield "its SHA-256 is none, or that of the file's name; it is left out"
    if autov2 and autov2 != "none" and not sha256.startswith(autov2):
        yield "its AutoV2 does not begin its SHA-256: StableQueue computed it of the first mebibyte; it is left out"
    if kilobytes is not None and kilobytes < SMALLEST:
        yield f"its size of {kilobytes:g} kB is the strength of a LoRA; it is left out"


def _fields(row: Row) -> tuple[dict[Field, object], float | None]:
    """What a row tells, uncleaned, and the size in kB apart from it."""
    fields: dict[Field, object] = {field: row.get(field) for field in _TOLD if field in row}
    if fields.get("name") == row["filename"]:
        del fields["name"]
    if wording.flag(fields.get("civitai_nsfw")) == "0":
        del fields["civitai_nsfw"]
    return fields, wording.number(fields.pop("civitai_file_size_kb", None))


def _lore(row: Row, at: str, base: str | None) -> tuple[Lore | None, str]:
    """What a row knows, and what was left out of it and why."""
    found = _place(row, base)
    if found is None:
        return None, "it is not here; say where its models directory is now"
    file, state = found
    fields, kilobytes = _fields(row)
    fitting = fits(kilobytes, state.st_size)
    if fitting:
        fields["civitai_file_size_kb"] = kilobytes
    other = fitting is False and (kilobytes or 0) >= SMALLEST
    hashes = {} if other else {key: row.get(key) for key in _HASHES}
    why = f"it had {kilobytes} kB for StableQueue, now it has {state.st_size} bytes; its hashes are left out"
    lore = Lore(
        file=file,
        size=state.st_size,
        claims=claims_of(hashes, "stablequeue", short=False),
        told=told_of(fields, "stablequeue", at),
        addresses=addresses_of(fields),
        preview=_preview(row, base),
    )
    return lore, why if other else ""


def _place(row: Row, base: str | None) -> tuple[str, State] | None:
    """`local_path` is the directory, in some rows the whole path."""
    directory, name = row["local_path"], row["filename"]
    if not isinstance(directory, str) or not isinstance(name, str):
        return None
    whole = directory.replace("\\", "/").rstrip("/")
    if whole.endswith(f"/{name}"):
        directory = whole[: -len(name)]
    return place(directory, name, base)


def _preview(row: Row, base: str | None) -> str:
    path = row.get("preview_path")
    if not isinstance(path, str) or "/" not in path:
        return ""
    directory, _, name = path.rpartition("/")
    found = place(directory, name, base)
    return found[0] if found else ""
