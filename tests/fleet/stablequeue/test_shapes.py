from __future__ import annotations

from dataclasses import fields

from model_manager.fleet.stablequeue.shapes import StableQueueModel

COLUMNS = {
    "id", "name", "type", "local_path", "filename", "civitai_id", "civitai_version_id", "forge_format", "hash_autov2",
    "hash_sha256", "civitai_model_name", "civitai_model_base", "civitai_model_type", "civitai_model_version_name",
    "civitai_model_version_desc", "civitai_model_version_date", "civitai_download_url", "civitai_trained_words",
    "civitai_file_size_kb", "metadata_status", "metadata_source", "has_embedded_metadata", "last_used", "created_at",
}  # fmt: skip
"""Of StableQueue's CREATE TABLE models."""


def test_a_row_has_every_column_of_the_table() -> None:
    assert {each.name for each in fields(StableQueueModel)} >= COLUMNS
