from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable
from model_manager.facts.companions import belongings
from model_manager.facts.description import Lore, Oddity
from model_manager.neighbours import documents, sidecars

SHA = "4feadf2925367c7c8c67a43888bab274c1306672ec82ced8fdd15f1961350730"
AT = "2026-01-02T03:04:05Z"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "x.safetensors").write_bytes(b"weights")
    return tmp_path / "x.safetensors"


def read(model: Path) -> tuple[Lore, tuple[Oddity, ...]]:
    beside = belongings(sidecars.names(str(model.parent)))
    return sidecars.read(str(model), model.stat().st_size, beside[model.name], AT)


def put(model: Path, ending: str, record: object) -> Path:
    path = model.with_name(f"x{ending}")
    path.write_bytes(record if isinstance(record, bytes) else json.dumps(record).encode())
    return path


def test_all_that_lies_beside_a_model_is_one_lore(model: Path) -> None:
    put(model, ".json", {"activation text": "a", "preferred weight": 1})
    put(model, ".metadata.json", {"file_name": "x", "sha256": SHA.upper(), "base_model": "Pony", "size": 7})
    put(model, ".civitai.json", {"modelId": 3, "modelVersionId": 7, "name": "L", "baseModel": "SDXL"})
    put(model, ".preview.jpeg", b"\xff\xd8\xff")
    lore, odd = read(model)
    assert not odd
    assert (lore.file, lore.size, lore.preview) == (str(model), 7, str(model.with_name("x.preview.jpeg")))
    told = {(word.teller, word.field): word.value for word in lore.told}
    assert told["forge", "civitai_trained_words"] == '["a"]'
    assert told["civitai", "civitai_model_base"] == "SDXL"
    assert [str(claim.pin) for claim in lore.claims] == [f"sha256:{SHA}"]
    assert [address.url for address in lore.addresses] == ["https://civitai.com/api/download/models/7"]


def test_the_content_decides_whose_a_json_is_not_its_name(model: Path) -> None:
    put(model, ".json", {"modelId": 3, "modelVersionId": 7, "name": "L"})
    put(model, ".civitai.json", {"sd version": "SDXL"})
    put(model, ".civitai.info", {"model_type": "t5", "vocab_size": 5})
    tellers = {(word.teller, word.field) for word in read(model)[0].told}
    assert ("civitai", "civitai_id") in tellers
    assert ("forge", "civitai_model_base") in tellers


def test_nothing_beside_it_is_nothing(model: Path) -> None:
    assert read(model) == (Lore(file=str(model), size=7), ())


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0\0\0", b"{", b'{"a": NaN}', b"<html>", b'{"sd version": "\xff"}', b'{"notes": "a", "notes": "b"}',
        b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"a":[' + b"{}," * 600_000 + b"{}]}",
        b'{"modelId": ' + b"9" * 6000 + b', "name": "x"}',
    ],
    ids=["empty", "nul", "cut", "nan", "html", "latin", "twice", "brackets", "deep", "many", "digits"],
)  # fmt: skip
def test_k7_hostile_json_is_an_oddity_and_hides_no_other(model: Path, content: bytes) -> None:
    path = put(model, ".civitai.info", content)
    put(model, ".json", {"sd version": "SDXL"})
    lore, odd = read(model)
    assert [word.value for word in lore.told] == ["SDXL"]
    assert [each.where for each in odd] == [str(path)]


def test_json_that_is_no_object_is_nothing_and_a_byte_order_mark_does_no_harm(model: Path) -> None:
    put(model, ".civitai.info", b"[1, 2]")
    put(model, ".json", b"\xef\xbb\xbf" + json.dumps({"sd version": "SDXL"}).encode())
    lore, odd = read(model)
    assert (len(lore.told), odd) == (1, ())


def test_k7_a_hundred_megabytes_are_not_read(model: Path) -> None:
    path = put(model, ".json", b"{")
    os.truncate(path, 100_000_000)
    assert str(documents.MAX_DOCUMENT) in read(model)[1][0].why


def test_h6_pipes_directories_and_links_to_nowhere_are_oddities(model: Path) -> None:
    os.mkfifo(model.with_name("x.json"))
    model.with_name("x.civitai.json").mkdir()
    model.with_name("x.civitai.info").symlink_to("nowhere")
    lore, odd = read(model)
    assert len(odd) == 3
    assert not lore.told


def test_nothing_beside_a_model_is_changed(model: Path) -> None:
    put(model, ".json", {"sd version": "SDXL"})
    before = {path: path.stat().st_mtime_ns for path in model.parent.iterdir()}
    read(model)
    assert {path: path.stat().st_mtime_ns for path in model.parent.iterdir()} == before


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        sidecars.names(str(tmp_path / "nowhere"))
