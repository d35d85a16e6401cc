from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.describing import COMPLETE, best, from_civitai, from_embedded, source, status
from model_manager.facts.description import ORDER, Field, Said, Teller, Told

AT = "2026-01-02T03:04:05Z"
SHA, OTHER = "4feadf2925367c7c8c67a43888bab274c1306672ec82ced8fdd15f1961350730", "c3" * 32
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
VERSION = {
    "id": 7, "modelId": 3, "name": "v1.0", "baseModel": "Pony", "downloadUrl": "https://civitai.com/api/download/models/7",
    "model": {"name": "Library", "type": "LORA", "nsfw": False},
    "files": [
        {"name": "a", "sizeKB": 1, "primary": True, "hashes": {"SHA256": OTHER}},
        {"name": "b", "sizeKB": 2, "hashes": {"SHA256": SHA.upper(), "AutoV3": SHA[:12].upper(), "BLAKE3": OTHER}},
    ],
}  # fmt: skip


def word(field: Field, teller: Teller, value: str = "x", at: str = AT) -> Told:
    return Told(field=field, value=value, teller=teller, at=at)


def told(said: Said) -> dict[str, str]:
    return {each.field: each.value for each in said.told}


def pins(said: Said) -> list[str]:
    return [str(claim.pin) for claim in said.claims]


@given(st.permutations([word("name", teller, teller) for teller in ORDER]), st.integers(1, len(ORDER)))
def test_of_several_tellers_the_first_in_order_is_believed_however_they_come(words: list[Told], count: int) -> None:
    chosen = best(words[:count])["name"]
    assert chosen.teller == min((each.teller for each in words[:count]), key=ORDER.index)


def test_of_one_teller_the_later_word_counts_and_fields_do_not_mix() -> None:
    old, new = word("name", "forge", "old"), word("name", "forge", "new", "2027-01-01T00:00:00Z")
    assert best([old, new]) == best([new, old]) == {"name": new}
    assert set(best([old, word("type", "comfygit")])) == {"name", "type"}
    assert best([]) == {}


def test_how_much_is_told() -> None:
    assert status({}) == "none"
    assert status(best([word("name", "forge")])) == "partial"
    assert status(best([word(field, "civitai") for field in COMPLETE])) == "complete"


@pytest.mark.parametrize(
    ("tellers", "named"),
    [
        ([], "none"), (["embedded", "forge"], "forge"), (["embedded", "civitai api"], "embedded"), (["civitai api"], "civitai"),
        (["stablequeue"], "civitai"), (["comfygit"], "none"), (["person"], "none"), (["person", "civitai"], "civitai"),
    ],
)  # fmt: skip
def test_the_source_in_stablequeues_words(tellers: list[Teller], named: str) -> None:
    fields: tuple[Field, ...] = ("name", "type")
    assert source(best(word(field, teller) for field, teller in zip(fields, tellers, strict=False))) == named


def test_the_api_tells_the_hashes_of_the_file_that_was_asked_for() -> None:
    said = from_civitai(VERSION, AT, sha256=SHA)
    assert pins(said) == [f"sha256:{SHA}", f"autov3:{SHA[:12]}", f"blake3:{OTHER}"]
    assert told(said)["civitai_file_size_kb"] == "2"
    assert {each.teller for each in said.told} == {"civitai api"}
    assert status(best(said.told)) == "complete"
    assert said.addresses[0].data == {"model_id": "3", "version_id": "7"}
    assert pins(from_civitai(VERSION, AT, size=1024, name="a")) == [f"sha256:{OTHER}"]


def test_an_answer_of_any_shape_is_taken_without_a_failure() -> None:
    for record in ({}, {"error": "x"}, {"files": {}, "model": [], "images": 5, "id": {}}, {"files": [None, [], {}]}):
        assert from_civitai(record, AT).claims == ()


def test_modelspec_and_kohyas_metadata_are_read() -> None:
    values = {
        "modelspec.title": "Library", "modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "modelspec.date": "2024-03-15",
        "modelspec.description": "d", "modelspec.hash_sha256": f"0x{SHA}", "sshs_model_hash": SHA.upper(),
        "ss_base_model_version": "sdxl_base_v1-0", "ss_sd_model_name": "pony.safetensors",
        "ss_tag_frequency": json.dumps({"10_x": {"library": 40, " books": 30, "1girl": 20, "solo": 25, "rare": 19}, "b": {"y": 99}}),
    }  # fmt: skip
    said = from_embedded(values, AT)
    assert told(said) == {
        "name": "Library",
        "type": "lora",
        "civitai_model_base": "sdxl_base_v1-0",
        "civitai_model_version_desc": "d",
        "civitai_model_version_date": "2024-03-15T00:00:00Z",
        "civitai_trained_words": '["library","books","solo"]',
    }
    assert [(str(claim.pin), claim.who) for claim in said.claims] == [(f"tensor:{SHA}", "embedded")]
    assert said.addresses == ()


def test_two_tensor_hashes_that_differ_are_two_claims_and_that_of_nothing_is_none() -> None:
    assert len(from_embedded({"sshs_model_hash": SHA, "modelspec.hash_sha256": OTHER}, AT).claims) == 2
    values = {"sshs_model_hash": EMPTY, "modelspec.hash_sha256": f"0x{EMPTY.upper()}"}
    assert from_embedded(values, AT).claims == ()
    assert from_embedded({"sshs_model_hash": "<script>"}, AT).claims == ()


@pytest.mark.parametrize(
    ("values", "field", "value"),
    [
        ({"ss_output_name": "mine"}, "name", "mine"),
        ({"general.name": "Flux"}, "name", "Flux"),
        ({"general.architecture": "flux"}, "civitai_model_base", "flux"),
        ({"modelspec.architecture": "flux-1-dev/checkpoint"}, "type", "checkpoint"),
        ({"modelspec.architecture": "stable-diffusion-v1/textual-inversion"}, "type", "embedding"),
        ({"modelspec.architecture": "flux-1-dev"}, "type", None),
        ({"modelspec.architecture": "flux-1-dev"}, "civitai_model_base", "flux-1-dev"),
        ({"ss_network_module": "networks.lora_flux"}, "type", "lora"),
        ({"ss_sd_model_name": "pony.safetensors"}, "civitai_model_base", "pony.safetensors"),
        ({"modelspec.trigger_phrase": "a, b", "ss_tag_frequency": '{"x":{"c":9}}'}, "civitai_trained_words", '["a","b"]'),
    ],
)  # fmt: skip
def test_what_each_key_of_a_header_tells(values: dict[str, str], field: str, value: str | None) -> None:
    assert told(from_embedded(values, AT)).get(field) == value


@pytest.mark.parametrize(
    ("frequency", "words"),
    [
        ('{"g":{"a":1}}', None), ('{"g":{"a":2,"b":1}}', '["a"]'), ('{"g":{"a":"5","b":2.5,"c":true}}', None), ("{}", None),
        ('{"g":[]}', None), ("[1]", None), ("{", None), ('{"g":{"a":1e400}}', None), ("[" * 9000, None), ("", None),
        ('{"g":{"a":9,"b":9,"c":9,"d":9}}', '["a","b","c"]'),
    ],
)  # fmt: skip
def test_tag_statistics_of_any_shape(frequency: str, words: str | None) -> None:
    assert told(from_embedded({"ss_tag_frequency": frequency}, AT)).get("civitai_trained_words") == words
