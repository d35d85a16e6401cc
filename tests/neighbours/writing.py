"""Databases of other programs, written as those write them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

COMFYGIT_10 = """
CREATE TABLE models (hash TEXT PRIMARY KEY, file_size INTEGER NOT NULL, blake3_hash TEXT, sha256_hash TEXT,
    first_seen INTEGER NOT NULL, metadata TEXT DEFAULT '{}');
CREATE TABLE model_locations (id INTEGER PRIMARY KEY AUTOINCREMENT, model_hash TEXT NOT NULL, base_directory TEXT NOT NULL,
    relative_path TEXT NOT NULL, filename TEXT NOT NULL, mtime REAL NOT NULL, last_seen INTEGER NOT NULL,
    FOREIGN KEY (model_hash) REFERENCES models(hash) ON DELETE CASCADE, UNIQUE(base_directory, relative_path));
CREATE TABLE model_sources (id INTEGER PRIMARY KEY AUTOINCREMENT, model_hash TEXT NOT NULL, source_type TEXT NOT NULL,
    source_url TEXT NOT NULL, metadata TEXT DEFAULT '{}', added_time INTEGER NOT NULL,
    FOREIGN KEY (model_hash) REFERENCES models(hash) ON DELETE CASCADE, UNIQUE(model_hash, source_url));
CREATE TABLE schema_info (version INTEGER PRIMARY KEY);
INSERT INTO schema_info VALUES (10);
"""
COMFYDOCK = """
CREATE TABLE models (hash TEXT PRIMARY KEY, path TEXT NOT NULL, filename TEXT NOT NULL, model_type TEXT NOT NULL,
    file_size INTEGER NOT NULL, last_seen INTEGER NOT NULL, metadata TEXT DEFAULT '{}', short_hash TEXT, mtime REAL,
    tracked_dir TEXT, blake3_hash TEXT, sha256_hash TEXT);
CREATE TABLE model_sources (id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL, source_type TEXT NOT NULL,
    source_url TEXT NOT NULL, source_data TEXT, added_at INTEGER NOT NULL, UNIQUE(hash, source_url));
"""
DISKCACHE = """
CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, expire_time REAL, access_time REAL,
    access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0, filename TEXT, value BLOB);
"""
_PLAN = (
    "id INTEGER PRIMARY KEY, name TEXT, type TEXT CHECK (type IN ('checkpoint', 'lora') OR type IS NULL), "
    "local_path TEXT, filename TEXT, civitai_id TEXT, civitai_version_id TEXT, forge_format TEXT, hash_autov2 TEXT, "
    "hash_sha256 TEXT, civitai_model_name TEXT, civitai_model_base TEXT, civitai_model_type TEXT, "
    "civitai_model_version_name TEXT, civitai_model_version_desc TEXT, civitai_model_version_date TEXT, "
    "civitai_download_url TEXT, civitai_trained_words TEXT, civitai_file_size_kb INTEGER, "
    "metadata_status TEXT CHECK (metadata_status IN ({status})), metadata_source TEXT, "
    "has_embedded_metadata BOOLEAN DEFAULT 0, last_used TIMESTAMP, created_at TIMESTAMP"
)
_WIDE = "'complete', 'partial', 'incomplete', 'none', 'error'"
_NARROW = "'complete', 'incomplete', 'error'"
_28 = ", preview_path TEXT, preview_url TEXT, civitai_nsfw BOOLEAN DEFAULT 0, civitai_blurhash TEXT"
_33 = (
    f"{_28}, civitai_checked TEXT, is_duplicate BOOLEAN, duplicate_hash TEXT, duplicate_group_size INTEGER, "
    "duplicate_group_index INTEGER"
)
STABLEQUEUE = {
    "24 columns": f"CREATE TABLE models ({_PLAN.format(status=_WIDE)});",
    "28 columns": f"CREATE TABLE models ({_PLAN.format(status=_WIDE)}{_28});",
    "33 columns": f"CREATE TABLE models ({_PLAN.format(status=_WIDE)}{_33});",
    "narrow check": f"CREATE TABLE models ({_PLAN.format(status=_NARROW)}{_33});",
}
"""Variant → schema of StableQueue's table."""


def database(path: Path, schema: str, *, wal: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema)
    return path


def insert(path: Path, table: str, *rows: dict[str, object]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for row in rows:
            connection.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )


def file(path: Path, size: int, mtime: float = 1_700_000_000.25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)
    os.utime(path, (mtime, mtime))
    return path


def beside(path: Path) -> Sequence[str]:
    """The names in a file's directory."""
    return sorted(other.name for other in path.parent.iterdir())
