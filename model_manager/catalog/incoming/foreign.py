"""The databases of StableQueue and comfygit as records of models. What they hold of files is read by `neighbours`; here it is
what a catalog needs: an address, a folder, a hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from model_manager.catalog.incoming.findings import Incoming, found
from model_manager.catalog.incoming.intake import incoming
from model_manager.errors import BadForeign, printable
from model_manager.neighbours import databases
from model_manager.neighbours.databases import Row, Table

_QUEUE: Final[Mapping[str, tuple[str, ...]]] = {
    "models": (
        "type", "local_path", "filename", "hash_autov2", "hash_sha256", "civitai_model_name", "civitai_model_base",
        "civitai_model_version_desc", "civitai_download_url", "civitai_file_size_kb", "civitai_id",
    ),
}  # fmt: skip
_GIT: Final[Mapping[str, tuple[str, ...]]] = {
    "models": ("hash", "file_size", "blake3_hash", "sha256_hash", "path", "filename"),
    "model_locations": ("model_hash", "relative_path"),
    "model_sources": ("model_hash", "hash", "source_url"),
}
_FOLDERS: Final = {"checkpoint": "checkpoints", "lora": "loras"}
_SMALLEST: Final = 16.0
"""Kilobytes; less is the strength of a LoRA that StableQueue put into the wrong column."""


def records(path: str) -> Iterator[Incoming]:
    """Models of either database. Raises BadForeign for what is neither, ForeignBusy, DiskUnavailable."""
    tables, odd = databases.tables(path, {name: (*_QUEUE.get(name, ()), *columns) for name, columns in _GIT.items()})
    models = tables.get("models")
    if models is None:
        raise BadForeign(path=path, why="it has no table of models")
    for each in odd:
        yield Incoming(record=None, findings=(found(each.where, each.why, "left out"),), where=each.where)
    if {"local_path", "filename"} <= {*models.columns}:
        yield from (_from_queue(row, at) for at, row in enumerate(models.rows))
    elif {"hash", "file_size"} <= {*models.columns}:
        yield from _from_git(tables, models)
    else:
        raise BadForeign(path=path, why="its table of models is neither StableQueue's nor comfygit's")


def _from_queue(row: Row, at: int) -> Incoming:
    """StableQueue: only a whole SHA-256 is taken, its AutoV2 is over the first MiB; a LoRA's strength may stand for its size."""
    kilobytes = row.get("civitai_file_size_kb")
    whole = isinstance(kilobytes, (int, float)) and kilobytes >= _SMALLEST
    raw = {
        "name": row.get("filename"),
        "downloadUrl": row.get("civitai_download_url"),
        "saveTo": _FOLDERS.get(str(row.get("type") or "").lower()),
        "fileSize": f"{kilobytes:.10g}KIB" if whole else None,
        "hash": row.get("hash_sha256"),
        "baseModel": row.get("civitai_model_base"),
        "description": row.get("civitai_model_name"),
        "authEnvVar": "CIVITAI_TOKEN" if row.get("civitai_download_url") else None,
        "isAuthReq": False,
    }
    taken = incoming("model", raw, f"models[{at}] {printable(row.get('filename'), 100)}")
    autov2 = row.get("hash_autov2")
    if not taken.record or not autov2 or row.get("hash_sha256"):
        return taken
    told = found(
        taken.record.name, "its AutoV2 is over the first MiB of the file and says nothing of the file", "dropped"
    )
    return Incoming(record=taken.record, findings=(*taken.findings, told), where=taken.where)


def _from_git(tables: Mapping[str, Table], models: Table) -> Iterator[Incoming]:
    """comfygit: paths and addresses stand in tables of their own in its shipped form."""
    places = _by_hash(tables.get("model_locations", Table()), "relative_path")
    addresses = _by_hash(tables.get("model_sources", Table()), "source_url")
    for at, row in enumerate(models.rows):
        key = str(row["hash"])
        path = next(iter(places.get(key, ())), None) or row.get("path") or row.get("filename")
        yield incoming("model", _git_model(row, path, addresses.get(key, [])), f"models[{at}] {printable(path, 100)}")


def _git_model(row: Row, path: object, addresses: list[str]) -> dict[str, Any]:
    place = str(path or "").replace("\\", "/").rpartition("models/")[2]
    sha256, blake3 = row.get("sha256_hash"), row.get("blake3_hash")
    return {
        "name": place.rpartition("/")[2],
        "sources": addresses,
        "saveTo": place,
        "fileSize": row.get("file_size"),
        "hash": sha256,
        "hashes": {name: value for name, value in (("sha256", sha256), ("blake3", blake3)) if value},
    }


def _by_hash(table: Table, column: str) -> dict[str, list[str]]:
    found_: dict[str, list[str]] = {}
    for row in table.rows:
        value = row.get(column)
        if isinstance(value, str):
            found_.setdefault(str(row.get("model_hash") or row.get("hash")), []).append(value)
    return found_
