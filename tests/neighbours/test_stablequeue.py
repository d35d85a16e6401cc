from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.errors import BadForeign
from model_manager.facts.description import Lore
from model_manager.neighbours import stablequeue
from tests.neighbours.writing import STABLEQUEUE, database, file, insert

SHA = "4FEADF2925367C7C8C67A43888BAB274C1306672EC82CED8FDD15F1961350730"
AT = "2026-01-02T03:04:05Z"
NAME = "0859 library_v1_pony.safetensors"
SIZE = 144256 * 1024
DOCUMENTED: dict[str, object] = {
    "id": 275, "name": NAME, "type": "lora", "local_path": "/app/models/loras/Pony", "filename": NAME,
    "civitai_id": "651553.0", "civitai_version_id": "728915.0", "forge_format": None, "hash_autov2": "4feadf2925",
    "hash_sha256": SHA, "civitai_model_name": "Library Concept", "civitai_model_base": "Pony", "civitai_model_type": "LORA",
    "civitai_model_version_name": "v1.0", "civitai_model_version_desc": "A LoRA for generating library scenes",
    "civitai_model_version_date": "2024-03-15T10:30:00Z",
    "civitai_download_url": "https://civitai.com/api/download/models/728915",
    "civitai_trained_words": "ruanyi0859, library, books, reading", "civitai_file_size_kb": 144256,
    "metadata_status": "complete", "metadata_source": "civitai", "has_embedded_metadata": 1,
    "last_used": "2025-06-14 02:56:15", "created_at": "2025-06-14 02:56:15",
}  # fmt: skip
LATER: dict[str, object] = {
    "preview_path": "/app/models/loras/Pony/0859 library_v1_pony.preview.png", "preview_url": "/api/models/preview/275",
    "civitai_nsfw": 0, "civitai_blurhash": "x",
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    file(tmp_path / "models" / "loras" / "Pony" / NAME, SIZE)
    return tmp_path / "models"


def read(tmp_path: Path, base: Path, *rows: dict[str, object], variant: str = "33 columns") -> stablequeue.Findings:
    path = database(tmp_path / "db" / "mobilesd_models.sqlite", STABLEQUEUE[variant])
    insert(path, "models", *rows)
    return stablequeue.read(str(path), AT, base=str(base))


def only(found: stablequeue.Findings) -> Lore:
    (lore,) = found.lore
    return lore


def changed(**fields: object) -> dict[str, object]:
    return {**DOCUMENTED, **fields}


def told(lore: Lore) -> dict[str, str]:
    return {word.field: word.value for word in lore.told}


@pytest.mark.parametrize("variant", STABLEQUEUE)
def test_the_documented_row_is_read_clean_from_every_schema(tmp_path: Path, base: Path, variant: str) -> None:
    file(base / "loras" / "Pony" / "0859 library_v1_pony.preview.png", 5)
    found = read(tmp_path, base, DOCUMENTED | (LATER if variant != "24 columns" else {}), variant=variant)
    assert not found.odd
    lore = only(found)
    assert (lore.file, lore.size) == (str(base / "loras" / "Pony" / NAME), SIZE)
    assert told(lore) == {
        "type": "lora",
        "civitai_id": "651553",
        "civitai_version_id": "728915",
        "civitai_model_name": "Library Concept",
        "civitai_model_base": "Pony",
        "civitai_model_type": "LORA",
        "civitai_model_version_name": "v1.0",
        "civitai_model_version_desc": "A LoRA for generating library scenes",
        "civitai_model_version_date": "2024-03-15T10:30:00Z",
        "civitai_download_url": "https://civitai.com/api/download/models/728915",
        "civitai_trained_words": '["ruanyi0859","library","books","reading"]',
        "civitai_file_size_kb": "144256",
    }
    assert {(word.teller, word.at) for word in lore.told} == {("stablequeue", AT)}
    assert {str(claim.pin) for claim in lore.claims} == {f"sha256:{SHA.lower()}", "autov2:4feadf2925"}
    assert lore.addresses[0].data == {"model_id": "651553", "version_id": "728915"}
    assert lore.preview.endswith(".preview.png") == (variant != "24 columns")


def test_none_strings_say_nothing(tmp_path: Path, base: Path) -> None:
    empty: dict[str, object] = {
        key: "none" for key in DOCUMENTED if key.startswith(("civitai", "hash")) and key != "civitai_file_size_kb"
    }
    lore = only(read(tmp_path, base, changed(**empty)))
    assert told(lore) == {"type": "lora", "civitai_file_size_kb": "144256"}
    assert not lore.claims
    assert not lore.addresses


def test_a_wrong_autov2_is_left_out_with_and_without_the_sha256(tmp_path: Path, base: Path) -> None:
    wrong = changed(hash_autov2="79038d21eb")
    assert {str(claim.pin) for claim in only(read(tmp_path, base, wrong)).claims} == {f"sha256:{SHA.lower()}"}


def test_an_autov2_alone_is_no_claim(tmp_path: Path, base: Path) -> None:
    assert not only(read(tmp_path, base, changed(hash_sha256=None))).claims


@pytest.mark.parametrize("weight", [0.8, 1, None, "none"])
def test_a_strength_in_the_column_of_sizes_is_no_size(tmp_path: Path, base: Path, weight: object) -> None:
    found = read(tmp_path, base, changed(civitai_file_size_kb=weight))
    assert not found.odd
    assert "civitai_file_size_kb" not in told(only(found))
    assert only(found).claims


def test_a_row_of_another_size_gives_no_hashes_and_is_reported(tmp_path: Path, base: Path) -> None:
    found = read(tmp_path, base, changed(civitai_file_size_kb=99))
    assert not only(found).claims
    assert "civitai_file_size_kb" not in told(only(found))
    assert told(only(found))["civitai_id"] == "651553"
    assert "99.0 kB" in found.odd[0].why


def test_only_a_true_nsfw_is_believed_and_a_name_that_is_not_the_files(tmp_path: Path, base: Path) -> None:
    lore = only(read(tmp_path, base, changed(civitai_nsfw=1, name="My Library")))
    assert told(lore)["civitai_nsfw"] == "1"
    assert told(lore)["name"] == "My Library"


def test_json_words_are_read_too_and_a_path_may_name_the_file(tmp_path: Path, base: Path) -> None:
    row = changed(civitai_trained_words='["a, b", "c"]', local_path=f"/app/models/loras/Pony/{NAME}")
    assert told(only(read(tmp_path, base, row)))["civitai_trained_words"] == '["a, b","c"]'


def test_rows_without_a_file_here_and_second_rows_are_reported(tmp_path: Path, base: Path) -> None:
    found = read(
        tmp_path,
        base,
        DOCUMENTED,
        changed(id=302),
        changed(id=303, filename="gone.pt"),
        changed(id=304, local_path=b"x"),
    )
    assert len(found.lore) == 1
    assert [each.why.split(";")[0] for each in found.odd] == [
        "it stands there twice",
        "it is not here",
        "it is not here",
    ]


def test_paths_of_this_machine_need_no_base(tmp_path: Path, base: Path) -> None:
    path = database(tmp_path / "x.sqlite", STABLEQUEUE["33 columns"])
    insert(path, "models", changed(local_path=str(base / "loras" / "Pony")))
    assert len(stablequeue.read(str(path), AT).lore) == 1


def test_an_empty_database_of_the_older_schema_knows_nothing_and_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path, tmp_path, variant="28 columns") == stablequeue.Findings()
    (tmp_path / "backup.sqlite").touch()
    with pytest.raises(BadForeign):
        stablequeue.read(str(tmp_path / "backup.sqlite"), AT)
    with pytest.raises(BadForeign):
        stablequeue.read(str(database(tmp_path / "jobs.sqlite", "CREATE TABLE jobs (x)")), AT)
