from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.facts.description import Field, Teller
from model_manager.neighbours.records import FORGE, Heard, Model, heard

SHA = "4feadf2925367c7c8c67a43888bab274c1306672ec82ced8fdd15f1961350730"
AT = "2026-01-02T03:04:05Z"
MODEL = Model(name="x.safetensors", size=147_718_144, at=AT)
KB = 144256
VERSION = {
    "id": 728915, "modelId": 651553, "name": "v1.0", "baseModel": "Pony", "trainedWords": ["ruanyi0859"],
    "model": {"name": "Library", "type": "LORA", "nsfw": True},
    "files": [{"name": "other.safetensors", "sizeKB": KB, "hashes": {"SHA256": SHA.upper(), "AutoV3": SHA[:12]}}],
    "downloadUrl": "https://civitai.com/api/download/models/728915", "images": [],
}  # fmt: skip
LORA_MANAGER = {
    "file_name": "evil", "file_path": "/etc/passwd", "model_name": "My library", "size": MODEL.size, "modified": 1.5,
    "sha256": SHA, "base_model": "Illustrious", "preview_url": "/loras_static/x.webp", "notes": "", "from_civitai": True,
    "civitai": VERSION, "tags": [], "modelDescription": "<p>All</p>",
}  # fmt: skip
STABILITY = {
    "ModelId": 651553, "ModelName": "Library", "ModelDescription": "<p>All</p>", "Nsfw": False, "ModelType": "LORA",
    "VersionId": 728915, "VersionName": "v1.0", "BaseModel": "Pony", "ImportedAt": "2024-01-01T00:00:00+00:00",
    "Hashes": {"SHA256": SHA.upper(), "CRC32": "0A0B0C0D", "BLAKE3": "5" + SHA[1:].upper()}, "TrainedWords": ["a"],
    "ThumbnailImageUrl": "https://i.test/i.jpeg",
}  # fmt: skip
RGTHREE = {
    "file": "x.safetensors", "sha256": SHA, "name": "Library - v1.0", "type": "LORA", "baseModel": "Pony", "links": [],
    "trainedWords": [{"word": "official", "civitai": True}, {"word": "1girl", "metadata": True, "count": 9}],
    "raw": {"civitai": VERSION, "metadata": {}},
}  # fmt: skip


def said(record: object, model: Model = MODEL) -> Heard:
    found = heard(json.loads(json.dumps(record)), model)
    assert found
    return found


def words(found: Heard, teller: Teller = "civitai") -> dict[Field, str]:
    return {word.field: word.value for word in found.said.told if word.teller == teller}


def hashes(found: Heard) -> set[tuple[str, str]]:
    return {(str(claim.pin), claim.who) for claim in found.said.claims}


def test_user_metadata_of_forge_tells_words_base_and_description_and_its_weight_is_no_size() -> None:
    found = said(
        {"description": "d", "sd version": "SDXL", "activation text": "a, b", "preferred weight": 0.8,
         "negative text": "bad", "notes": "n"}
    )  # fmt: skip
    assert words(found, "forge") == {
        "civitai_model_base": "SDXL",
        "civitai_trained_words": '["a","b"]',
        "civitai_model_version_desc": "d",
    }
    assert not found.said.claims
    assert not found.said.addresses


@pytest.mark.parametrize("key", FORGE)
def test_one_key_of_forge_is_enough(key: str) -> None:
    assert heard({key: "", "anything": 1}, MODEL)


def test_notes_alone_are_forges_and_an_unknown_base_says_nothing() -> None:
    assert words(said({"notes": "mine"}), "forge") == {"civitai_model_version_desc": "mine"}
    assert not words(said({"sd version": "Unknown", "activation text": ""}), "forge")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"version": "1.0", "truncation": None, "model": {"type": "BPE", "vocab": {}}},
        {"architectures": ["T5EncoderModel"], "model_type": "t5", "vocab_size": 32128},
        {"metadata": {"total_size": 1}, "weight_map": {"a": "b"}},
        {"_class_name": "FluxPipeline", "scheduler": ["diffusers", "x"]},
        {"name": "x", "description": "y", "type": "z"},
        {"last_node_id": 3, "nodes": [], "links": []},
        {"notes": 5},
    ],
    ids=["empty", "tokenizer", "config", "index", "pipeline", "package", "workflow", "number"],
)
def test_other_json_speaks_of_no_model(record: dict[str, object]) -> None:
    assert heard(record, MODEL) is None


def test_civitai_info_tells_the_version_and_the_hashes_of_the_file_of_this_size() -> None:
    found = said(VERSION)
    assert words(found)["civitai_version_id"] == "728915"
    assert words(found)["civitai_model_version_name"] == "v1.0"
    assert words(found)["civitai_file_size_kb"] == "144256"
    assert hashes(found) == {(f"sha256:{SHA}", "civitai"), (f"autov3:{SHA[:12]}", "civitai")}
    assert found.said.addresses[0].data == {"model_id": "651553", "version_id": "728915"}
    assert not found.odd


def test_hashes_of_a_file_of_another_size_are_left_out_and_reported() -> None:
    found = said(VERSION, replace(MODEL, size=1))
    assert not found.said.claims
    assert "civitai_file_size_kb" not in words(found)
    assert words(found)["civitai_model_name"] == "Library"
    assert found.odd


def test_lora_managers_metadata_tells_its_own_names_over_civitais_and_no_path() -> None:
    found = said(LORA_MANAGER)
    told = words(found)
    assert (told["name"], told["civitai_model_name"]) == ("My library", "Library")
    assert told["civitai_model_base"] == "Illustrious"
    assert told["civitai_model_version_desc"] == "<p>All</p>"
    assert "preview_url" not in told
    assert hashes(found) == {(f"sha256:{SHA}", "lora manager")}


def test_lora_managers_hash_of_a_replaced_file_is_left_out() -> None:
    found = said({**LORA_MANAGER, "size": 5})
    assert not found.said.claims
    assert "5 bytes" in found.odd[0]
    assert said({**LORA_MANAGER, "size": 0}).said.claims


def test_a_bare_record_of_lora_manager_tells_its_hash() -> None:
    found = said({"file_name": "x", "sha256": SHA, "base_model": "Unknown", "civitai": {}, "model_name": ""})
    assert not found.said.told
    assert hashes(found) == {(f"sha256:{SHA}", "lora manager")}
    assert not said({**LORA_MANAGER, "sha256": "", "hash_status": "pending"}).said.claims


def test_stability_matrix_tells_in_its_own_spelling() -> None:
    found = said(STABILITY)
    assert words(found)["civitai_version_id"] == "728915"
    assert words(found)["type"] == "lora"
    assert words(found)["civitai_model_version_desc"] == "<p>All</p>"
    assert hashes(found) == {
        (f"sha256:{SHA}", "stability matrix"),
        ("crc32:0a0b0c0d", "stability matrix"),
        (f"blake3:5{SHA[1:]}", "stability matrix"),
    }
    assert not said({**STABILITY, "ModelType": 3, "Hashes": None}).said.claims


def test_rgthree_tells_only_the_official_words() -> None:
    found = said(RGTHREE)
    assert words(found)["civitai_trained_words"] == '["official"]'
    assert words(found)["civitai_id"] == "651553"
    assert hashes(found) == {(f"sha256:{SHA}", "rgthree")}
    assert words(said({**RGTHREE, "raw": {}}))["name"] == "Library - v1.0"


def test_of_a_whole_model_the_version_with_this_file_is_taken() -> None:
    family = {
        "id": 651553, "name": "Library", "type": "LORA", "nsfw": False, "description": "<p>All</p>",
        "modelVersions": [{**VERSION, "model": None}, {"id": 2, "name": "v2", "files": [{"name": "y", "sizeKB": 9}]}],
    }  # fmt: skip
    assert words(said(family))["civitai_version_id"] == "728915"
    assert words(said(family))["civitai_id"] == "651553"
    undecided = said(family, replace(MODEL, size=1))
    assert words(undecided)["civitai_model_name"] == "Library"
    assert "civitai_version_id" not in words(undecided)
    assert "0 of its 2 versions" in undecided.odd[0]


def test_stablequeues_record_of_a_download_tells_ids_and_size() -> None:
    found = said({"modelId": "651553.0", "modelVersionId": 728915.0, "fileName": "x", "sizeKB": KB, "type": "LORA"})
    assert words(found) == {
        "civitai_id": "651553",
        "civitai_version_id": "728915",
        "type": "lora",
        "civitai_model_type": "LORA",
        "civitai_file_size_kb": "144256",
    }
    assert found.said.addresses[0].url.endswith("/728915")


def test_stablequeues_refreshed_record_tells_the_version_by_its_own_id() -> None:
    found = said(
        {"id": 651553, "modelId": 651553, "modelVersionId": 728915, "name": "Library", "baseModel": "Pony", "nsfw": True,
         "model": {"name": "Library", "id": 651553}, "trainedWords": "a, b", "type": "LORA", "downloadUrl": "none"}
    )  # fmt: skip
    assert words(found)["civitai_version_id"] == "728915"
    assert words(found)["civitai_model_name"] == "Library"
    assert words(found)["civitai_nsfw"] == "1"
    assert "civitai_model_version_name" not in words(found)
    flat = said({"name": "Library", "versionName": "v1.0", "baseModel": "Pony"})
    assert words(flat) == {"name": "Library", "civitai_model_name": "Library", "civitai_model_version_name": "v1.0", "civitai_model_base": "Pony"}  # fmt: skip


def test_an_autov2_of_stablequeue_counts_only_when_it_begins_the_sha256() -> None:
    flat = {"modelId": 1, "name": "x"}
    assert not said({**flat, "hash_autov2": "79038d21eb"}).said.claims
    assert hashes(said({**flat, "AutoV2": "79038D21EB", "SHA256": SHA.upper()})) == {(f"sha256:{SHA}", "stablequeue")}
    both = hashes(said({**flat, "model": {"hash_autov2": SHA[:10].upper(), "hash_sha256": SHA}}))
    assert both == {(f"sha256:{SHA}", "stablequeue"), (f"autov2:{SHA[:10]}", "stablequeue")}


def test_a_record_for_another_size_gives_no_hash() -> None:
    found = said({"modelId": 1, "modelVersionId": 2, "name": "x", "sizeKB": 7, "hash_sha256": SHA})
    assert not found.said.claims
    assert "7 kB" in found.odd[0]


def test_a_mixed_json_is_heard_with_both_voices() -> None:
    found = said({**VERSION, "activation text": "mine", "preferred weight": 1})
    assert words(found, "forge") == {"civitai_trained_words": '["mine"]'}
    assert words(found, "civitai")["civitai_trained_words"] == '["ruanyi0859"]'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SHA),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*VERSION, *STABILITY, *FORGE]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.parametrize(
    "record", [VERSION, LORA_MANAGER, STABILITY, RGTHREE, {"modelVersions": [VERSION], "name": "x"}]
)
@given(data=st.data())
def test_k7_a_record_of_any_shape_is_heard_without_a_failure(record: dict[str, object], data: st.DataObject) -> None:
    changed = data.draw(st.dictionaries(st.sampled_from([*record, *FORGE]), VALUES, max_size=6))
    found = heard({**record, **changed}, MODEL)
    assert found is None or all(word.value for word in found.said.told)
