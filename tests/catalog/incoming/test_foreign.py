"""The databases of StableQueue and comfygit as models of a catalog."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from model_manager.catalog.incoming.foreign import records
from model_manager.catalog.records import CatalogModel
from model_manager.errors import BadForeign
from tests.catalog.conftest import ADDRESS, SHA256


def _made(path: Path, *statements: str) -> str:
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return str(path)


def test_stablequeue_gives_address_folder_and_whole_hash(tmp_path: Path) -> None:
    path = _made(
        tmp_path / "q.sqlite",
        "CREATE TABLE models (id, type, local_path, filename, hash_autov2, hash_sha256, civitai_model_base, civitai_download_url, civitai_file_size_kb)",
        f"INSERT INTO models VALUES (1, 'lora', '/m/Lora', 'a.safetensors', 'abcdef1234', '{SHA256.upper()}', 'SDXL', 'https://civitai.com/api/download/models/1', 2048.0)",
        "INSERT INTO models VALUES (2, 'checkpoint', '/m', 'b.safetensors', 'abcdef1234', NULL, 'none', 'https://civitai.com/api/download/models/2', 0.8)",
        "INSERT INTO models VALUES (3, 'checkpoint', '/m', 'c.safetensors', NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO models VALUES (4, NULL, '/m', 'd.safetensors', NULL, NULL, NULL, 'https://civitai.com/api/download/models/4', NULL)",
    )  # fmt: skip
    a, b, c, d = records(path)
    assert isinstance(a.record, CatalogModel)
    assert (a.record.save_to, a.record.size, a.record.hash, a.record.base_model) == (
        "loras",
        "2048KIB",
        SHA256.upper(),
        "SDXL",
    )
    assert isinstance(b.record, CatalogModel)
    assert (b.record.save_to, b.record.size, b.record.hash, b.record.base_model) == ("checkpoints", None, None, "")
    assert [each.done for each in b.findings] == ["dropped"]
    assert (c.record, d.record) == (None, None)
    assert "no download address" in c.findings[0].what


def test_comfygit_gives_place_hashes_and_every_address_in_order(tmp_path: Path) -> None:
    path = _made(
        tmp_path / "g.db",
        "CREATE TABLE models (hash, file_size, blake3_hash, sha256_hash)",
        "CREATE TABLE model_locations (model_hash, base_directory, relative_path)",
        "CREATE TABLE model_sources (model_hash, source_url)",
        f"INSERT INTO models VALUES ('h1', 77, '{'b' * 64}', '{SHA256}'), ('h2', 5, NULL, NULL)",
        "INSERT INTO model_locations VALUES ('h1', '/m', 'vae/sub/a.pt'), ('h2', '/m', 'vae/b.pt')",
        f"INSERT INTO model_sources VALUES ('h1', '{ADDRESS.format('a.pt')}'), ('h1', 'https://mirror.example/a.pt')",
    )
    a, b = records(path)
    assert isinstance(a.record, CatalogModel)
    assert (a.record.name, a.record.save_to, a.record.size) == ("a.pt", "vae/sub/a.pt", 77)
    assert dict(a.record.hashes) == {"blake3": "b" * 64, "sha256": SHA256}
    assert a.record.sources == (ADDRESS.format("a.pt"), "https://mirror.example/a.pt")
    assert b.record is None


def test_the_first_form_of_comfygit_has_its_paths_in_one_table(tmp_path: Path) -> None:
    path = _made(
        tmp_path / "g.db",
        "CREATE TABLE models (hash, file_size, path, filename)",
        "CREATE TABLE model_sources (hash, source_url)",
        "INSERT INTO models VALUES ('h1', 77, '/home/me/ComfyUI/models/vae/a.pt', 'a.pt')",
        f"INSERT INTO model_sources VALUES ('h1', '{ADDRESS.format('a.pt')}')",
    )
    (a,) = records(path)
    assert isinstance(a.record, CatalogModel)
    assert a.record.save_to == "vae/a.pt"


@pytest.mark.parametrize("statement", ["CREATE TABLE other (x)", "CREATE TABLE models (x)"])
def test_any_other_database_is_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(BadForeign):
        list(records(_made(tmp_path / "o.db", statement)))
