"""The index of comfygit, once ComfyDock (`models.db`): both its forms, of which each names files, hashes and where to get them.

Form of the plan: one table `models` with a path in it, `model_sources` beside. Shipped form (schema 10): `models` by hash,
`model_locations`, `model_sources`, `schema_info` (comfygit_core, repositories/model_repository.py). `hash` is a hash over samples:
by BLAKE3 before schema 10, by XXH3 since.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from model_manager.errors import BadForeign, BadRecord
from model_manager.facts import wire
from model_manager.facts.description import Address, Claim, Findings, Lore, Oddity, claims_of
from model_manager.neighbours import databases
from model_manager.neighbours.databases import Row, Table
from model_manager.neighbours.places import place

SECOND: Final = 0.001
"""Seconds by which two mtimes may differ that were kept as floats."""

XXH3_SINCE: Final = 10
"""The schema that began to sample with XXH3."""

_WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "models": (
        "hash", "short_hash", "file_size", "blake3_hash", "sha256_hash",
        "path", "filename", "mtime", "tracked_dir",
    ),
    "model_locations": ("model_hash", "base_directory", "relative_path", "mtime"),
    "model_sources": ("model_hash", "hash", "source_url", "source_data", "metadata"),
    "schema_info": ("version",),
}  # fmt: skip
_QUICK = re.compile(r"[0-9a-f]{16}")
_MAX_PAIRS: Final = 20


def read(database: str, *, base: str | None = None) -> Findings:
    """What comfygit knows of files that are here.

    `base`: where its models directory is on this machine, if not where it says. A file that is not here, or has another size or
    mtime than it had for comfygit, is an oddity and nothing is taken. Raises BadForeign, ForeignBusy, DiskUnavailable.
    """
    tables, odd = databases.tables(database, _WANTED)
    models = tables.get("models")
    if models is None or not {"hash", "file_size"} <= {*models.columns}:
        raise BadForeign(path=database, why="it has no table of models like comfygit's")
    sources = _sources(tables.get("model_sources", Table()).rows)
    formula = _formula(tables)
    found = [_lore(row, formula, sources.get(row["hash"], ()), base) for row in _located(tables, models.rows)]
    return Findings(
        lore=tuple(each for each in found if isinstance(each, Lore)),
        odd=odd + tuple(each for each in found if isinstance(each, Oddity)),
    )


def _formula(tables: Mapping[str, Table]) -> str:
    rows = tables.get("schema_info", Table()).rows
    versions = [version for row in rows if isinstance(version := row.get("version"), int)]
    return "xxh3_128_sample_v1" if versions and max(versions) >= XXH3_SINCE else "blake3_sample_v1"


def _located(tables: Mapping[str, Table], models: tuple[Row, ...]) -> list[Row]:
    """One row per file, with `directory` and `name`, whichever form the database has."""
    if "model_locations" not in tables:
        return [{**row, "directory": row.get("tracked_dir"), "name": row.get("path")} for row in models]
    known = {row["hash"]: row for row in models}
    return [
        {
            **known[row["model_hash"]],
            "directory": row.get("base_directory"),
            "name": row.get("relative_path"),
            "mtime": row.get("mtime"),
        }
        for row in tables["model_locations"].rows
        if row.get("model_hash") in known
    ]


def _lore(row: Row, formula: str, addresses: tuple[Address, ...], base: str | None) -> Lore | Oddity:
    directory, name = row["directory"], row["name"]
    if not isinstance(name, str) or not isinstance(directory, (str, type(None))):
        return Oddity(where=str(name), why="its row names no file")
    absolute = name.startswith("/")
    found = place("/" if absolute else directory or "", name, base)
    if found is None:
        return Oddity(where=f"{directory}/{name}", why="it is not here; say where its models directory is now")
    file, state = found
    size, mtime = row["file_size"], row.get("mtime")
    if size != state.st_size:
        return Oddity(where=file, why=f"it had {size} bytes for comfygit and has {state.st_size} now")
    if isinstance(mtime, (int, float)) and abs(mtime - state.st_mtime) > SECOND:
        return Oddity(where=file, why="it was written since comfygit looked at it")
    return Lore(
        file=file,
        size=state.st_size,
        mtime=state.st_mtime,
        claims=_claims(row),
        addresses=addresses,
        quick=tuple((formula, text) for text in (_quick(row),) if text),
    )


def _claims(row: Row) -> tuple[Claim, ...]:
    return claims_of({"sha256": row.get("sha256_hash"), "blake3": row.get("blake3_hash")}, "comfygit")


def _quick(row: Row) -> str:
    text = row.get("short_hash") or row["hash"]
    return text.lower() if isinstance(text, str) and _QUICK.fullmatch(text.lower()) else ""


def _sources(rows: tuple[Row, ...]) -> dict[object, tuple[Address, ...]]:
    found: dict[object, tuple[Address, ...]] = {}
    for row in rows:
        address = Address.parse(row.get("source_url"), _data(row.get("source_data") or row.get("metadata")))
        if address:
            key = row.get("model_hash") or row.get("hash")
            found[key] = (*found.get(key, ()), address)
    return found


def _data(text: object) -> dict[str, str]:
    """The flat part of a source's own data: its ids, its repository."""
    try:
        found = wire.loads_unique(text.encode("utf-8", "replace"), "source") if isinstance(text, str) else {}
    except BadRecord:
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: str(value) for key, value in list(pairs)[:_MAX_PAIRS] if _is_short(key) and _is_short(value)}


def _is_short(value: object) -> bool:
    return (isinstance(value, str) and len(value) < 500) or type(value) is int
