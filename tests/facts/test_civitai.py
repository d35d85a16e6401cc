from __future__ import annotations

from model_manager.facts.civitai import addresses_of, fields_of, file_of, fits, preview_of, said
from model_manager.facts.description import Address, Claim

SHA = "4feadf2925367c7c8c67a43888bab274c1306672ec82ced8fdd15f1961350730"
OTHER = "5" + SHA[1:]
AT = "2026-01-02T03:04:05Z"
FILES = [
    {"name": "x-fp16.safetensors", "sizeKB": 1000.5, "hashes": {"SHA256": SHA.upper(), "AutoV2": SHA[:10].upper(), "CRC32": "0A0B0C0D"}},
    {"name": "x.safetensors", "sizeKB": 2000, "primary": True, "hashes": {"SHA256": OTHER}, "downloadUrl": "https://civitai.com/api/download/models/7?fp=fp32"},
    {"name": "x.vae.pt", "sizeKB": 2000, "hashes": {}},
]  # fmt: skip
VERSION = {
    "id": 7, "modelId": 3, "name": "v1.0", "baseModel": "Pony", "trainedWords": ["a", "b, c"],
    "description": None, "createdAt": "2024-03-15T10:30:00.000Z", "downloadUrl": "https://civitai.com/api/download/models/7",
    "model": {"name": "Library Concept", "type": "LORA", "nsfw": False},
    "files": FILES, "images": [{"url": "https://i.test/v.mp4", "type": "video"}, {"url": "https://i.test/i.jpeg", "type": "image"}],
}  # fmt: skip


def test_the_file_that_is_meant_is_known_by_hash_then_size_then_name_then_rank() -> None:
    assert file_of(VERSION, sha256=SHA.upper()) is FILES[0]
    assert file_of(VERSION, size=1_024_512) is FILES[0]
    assert file_of(VERSION, size=2_048_000, name="x.vae.pt") is FILES[2]
    assert file_of(VERSION, size=2_048_000) is FILES[1]
    assert file_of(VERSION) is FILES[1]
    assert file_of(VERSION, size=5) is None
    assert file_of({"files": "nonsense"}) is None
    assert file_of({"files": [1, {"name": "a"}]}, size=5) == {"name": "a"}


def test_a_size_in_kilobytes_is_rounded() -> None:
    assert fits(1.0, 1024) is True
    assert fits("1.4", 1500) is True
    assert fits(1, 2048) is False
    assert fits("big", 1) is None


def test_a_version_says_all_its_fields_and_the_hashes_of_one_file() -> None:
    told, claims, addresses = said(VERSION, FILES[0], "civitai api", AT)
    assert {word.field: word.value for word in told} == {
        "name": "Library Concept",
        "type": "lora",
        "civitai_id": "3",
        "civitai_version_id": "7",
        "civitai_model_name": "Library Concept",
        "civitai_model_base": "Pony",
        "civitai_model_type": "LORA",
        "civitai_model_version_name": "v1.0",
        "civitai_model_version_date": "2024-03-15T10:30:00Z",
        "civitai_download_url": "https://civitai.com/api/download/models/7",
        "civitai_trained_words": '["a","b, c"]',
        "civitai_file_size_kb": "1000.5",
        "civitai_nsfw": "0",
        "preview_url": "https://i.test/i.jpeg",
    }
    assert {(word.teller, word.at) for word in told} == {("civitai api", AT)}
    assert claims == (Claim.parse(SHA, "civitai", "sha256"), Claim.parse(SHA[:10], "civitai", "autov2"), Claim.parse("0a0b0c0d", "civitai", "crc32"))  # fmt: skip
    assert addresses == (
        Address(kind="civitai", url="https://civitai.com/api/download/models/7", data={"model_id": "3", "version_id": "7"}),
    )  # fmt: skip


def test_the_address_of_the_file_is_better_than_the_versions_and_the_version_gives_one_when_none_is_told() -> None:
    assert fields_of(VERSION, FILES[1])["civitai_download_url"] == "https://civitai.com/api/download/models/7?fp=fp32"
    (address,) = addresses_of({"civitai_version_id": "728915.0"})
    assert address.url == "https://civitai.com/api/download/models/728915"
    assert addresses_of({}) == ()


def test_a_record_of_wrong_types_says_what_is_left() -> None:
    wrong = dict.fromkeys(VERSION, 5) | {"id": [1], "name": {"x": 1}, "model": "LORA", "images": [None, {"url": ["x"]}]}
    assert {word.field for word in said(wrong, None, "civitai", AT).told} <= {"civitai_id"}
    assert preview_of({"images": [{"type": "video", "url": "https://i.test/v.mp4"}]}) == "https://i.test/v.mp4"
