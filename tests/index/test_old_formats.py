"""What readers of older formats find in the views that stand for their tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.decisions import describing
from model_manager.facts.description import Address, Field, Lore, Teller, Told
from model_manager.facts.disk import Diff
from model_manager.index.store import Store

from .making import AT, ROOT, begun, digests, held

MODELS = (
    "hash path filename model_type file_size last_seen metadata short_hash mtime tracked_dir blake3_hash sha256_hash"
)
SOURCES = "id hash source_type source_url source_data added_at"
STABLEQUEUE = (
    "id name type local_path filename civitai_id civitai_version_id forge_format hash_autov2 hash_sha256 "
    "civitai_model_name civitai_model_base civitai_model_type civitai_model_version_name civitai_model_version_desc "
    "civitai_model_version_date civitai_download_url civitai_trained_words civitai_file_size_kb metadata_status "
    "metadata_source has_embedded_metadata last_used created_at"
)
FILE = held("sub/A.safetensors", content="a")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=(FILE,)), at=AT)
    return store


def _rows(store: Store, view: str) -> list[dict[str, Any]]:
    cursor = store._db.execute(f"SELECT * FROM {view}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _learn(store: Store, told: Sequence[Told], *addresses: Address) -> None:
    store.learn([(FILE.file, Lore(file=FILE.file, told=tuple(told), addresses=addresses))], at=AT)


@pytest.mark.parametrize(
    ("view", "columns"), [("models", MODELS), ("model_sources", SOURCES), ("stablequeue_models", STABLEQUEUE)]
)
def test_a_view_has_the_columns_that_its_readers_expect(store: Store, view: str, columns: str) -> None:
    assert [row[1] for row in store._db.execute(f"PRAGMA table_info({view})")] == columns.split()


def test_a_model_of_the_old_index_is_a_content_with_its_copies(store: Store) -> None:
    copy = held("copy.safetensors", folder="unet", root="/mnt", inode=9, content="a")
    store.apply(Diff(appeared=(copy,)), at=AT)
    store.sampled([(FILE.file, FILE.fingerprint, "0123456789abcdef")])
    (row,) = _rows(store, "models")
    assert row == {
        "hash": "0123456789abcdef",
        "path": FILE.file,
        "filename": "A.safetensors",
        "model_type": "checkpoint",
        "file_size": 1000,
        "last_seen": 1767323045,
        "metadata": json.dumps({"duplicates": [copy.file]}, separators=(",", ":")),
        "short_hash": "0123456789abcdef",
        "mtime": 1_700_000_000.0,
        "tracked_dir": ROOT,
        "blake3_hash": digests("a").blake3,
        "sha256_hash": digests("a").sha256,
    }


def test_a_source_of_the_old_index_is_an_address(store: Store) -> None:
    store.sampled([(FILE.file, FILE.fingerprint, "0123456789abcdef")])
    _learn(store, (), Address(kind="civitai", url="https://civitai.com/1", data={"id": "1"}))
    (row,) = _rows(store, "model_sources")
    assert row == {
        "id": 1,
        "hash": "0123456789abcdef",
        "source_type": "civitai",
        "source_url": "https://civitai.com/1",
        "source_data": '{"id":"1"}',
        "added_at": 1767323045,
    }


def test_a_model_of_stablequeue_is_a_file_with_the_best_that_is_told(store: Store) -> None:
    said: list[tuple[Field, str, Teller]] = [
        ("civitai_id", "12", "civitai"),
        ("civitai_id", "13", "civitai api"),
        ("civitai_file_size_kb", "77", "civitai"),
        ("civitai_model_name", "Nice", "embedded"),
        ("type", "vae", "forge"),
    ]
    _learn(store, [Told(field=field, value=value, teller=teller, at=AT) for field, value, teller in said])
    (row,) = _rows(store, "stablequeue_models")
    assert (row["local_path"], row["filename"]) == (f"{ROOT}/checkpoints/sub", "A.safetensors")
    assert (row["name"], row["type"], row["civitai_id"], row["civitai_file_size_kb"]) == (
        "Nice",
        "checkpoint",
        "12",
        77,
    )
    assert (row["hash_autov2"], row["hash_sha256"]) == (digests("a").named("autov2"), digests("a").sha256)
    assert (row["metadata_status"], row["metadata_source"], row["has_embedded_metadata"]) == ("partial", "forge", 1)
    assert (row["created_at"], row["last_used"]) == ("2026-01-02 03:04:05", None)


def test_a_file_of_which_nothing_is_told_is_named_after_itself(store: Store) -> None:
    (row,) = _rows(store, "stablequeue_models")
    assert (row["name"], row["metadata_status"], row["metadata_source"]) == ("A.safetensors", "none", "none")


_words = st.lists(
    st.builds(
        Told,
        field=st.sampled_from((*sorted(describing.COMPLETE), "name", "preview_url")),
        value=st.just("checkpoint"),
        teller=st.sampled_from(get_args(Teller)),
        at=st.just(AT),
    ),
    max_size=30,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=_words)
def test_status_and_source_are_those_that_are_decided(
    tmp_path_factory: pytest.TempPathFactory, words: list[Told]
) -> None:
    store = begun(tmp_path_factory.mktemp("told") / "index.db")
    store.apply(Diff(appeared=(FILE,)), at=AT)
    _learn(store, words)
    (row,) = _rows(store, "stablequeue_models")
    best = describing.best(words)
    assert (row["metadata_status"], row["metadata_source"]) == (describing.status(best), describing.source(best))
    best_rows = store._db.execute("SELECT field, value, teller FROM best_told").fetchall()
    assert sorted(best_rows) == sorted((one.field, one.value, one.teller) for one in best.values())
    store.close()


def test_the_page_that_documents_the_views_names_their_columns() -> None:
    page = (Path(__file__).parents[2] / "docs" / "index.md").read_text()
    missing = [column for column in f"{MODELS} {SOURCES} {STABLEQUEUE}".split() if f"`{column}`" not in page]
    assert not missing


def test_the_example_of_the_page_can_be_run(store: Store) -> None:
    page = (Path(__file__).parents[2] / "docs" / "index.md").read_text()
    statements = [line.strip() for line in page.splitlines() if line.strip().startswith("SELECT ")]
    assert statements
    with sqlite3.connect(f"file:{store.path}?mode=ro", uri=True) as reader:
        for statement in statements:
            reader.execute(statement).fetchall()
