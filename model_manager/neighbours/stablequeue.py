"""StableQueue's database of models (`mobilesd_models.sqlite`): 24 columns in its plan, 28 and 33 in what was shipped.

Its rows are dirty in known ways (utils/modelDatabase.js, docs/DATABASE_SCHEMA.md): ids as "651553.0", the word "none", a LoRA's
strength as the file size, a flag that falls back to 0 at any update, an AutoV2 over the first MiB. It keeps neither size nor mtime.
"""

from __future__ import annotations

from typing import Final

from model_manager.errors import BadForeign
from model_manager.facts import wording
from model_manager.facts.civitai import addresses_of, fits
from model_manager.facts.description import Field, Findings, Lore, Oddity, claims_of, told_of
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


def _lore(row: Row, at: str, base: str | None) -> tuple[Lore | None, str]:
    """What a row knows, and what was left out of it and why."""
    found = _place(row, base)
    if found is None:
        return None, "it is not here; say where its models directory is now"
    file, state = found
    fields: dict[Field, object] = {field: row.get(field) for field in _TOLD if field in row}
    if fields.get("name") == row["filename"]:
        del fields["name"]
    if wording.flag(fields.get("civitai_nsfw")) == "0":
        del fields["civitai_nsfw"]
    kilobytes = wording.number(fields.pop("civitai_file_size_kb", None))
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
