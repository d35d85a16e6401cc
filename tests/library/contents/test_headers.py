from __future__ import annotations

import json
import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.errors import BadContent, DiskUnavailable
from model_manager.library.contents import headers
from model_manager.library.contents.headers import read
from tests.library.shelves import put

TENSOR = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
KOHYA = {"ss_output_name": "x", "sshs_model_hash": "ab" * 32, "format": "pt", "modelspec.title": 'Ä "x" \\ \n'}


def safetensors(path: Path, header: bytes | dict[str, object], body: bytes = b"1") -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return str(put(path, struct.pack("<Q", len(text)) + text + body))


def test_metadata_is_found_wherever_it_stands_in_the_header(tmp_path: Path) -> None:
    for header in ({"__metadata__": KOHYA, "w": TENSOR}, {"w": TENSOR, "__metadata__": KOHYA, "v": TENSOR}):
        assert read(safetensors(tmp_path / "x", header)) == (KOHYA, ())
        spaced = json.dumps(header, indent=3, ensure_ascii=False).encode()
        assert read(safetensors(tmp_path / "x", spaced + b" " * 50)) == (KOHYA, ())


def test_of_the_metadata_only_what_describes_the_model_is_kept(tmp_path: Path) -> None:
    metadata = {
        "ss_tag_frequency": "{" * 100_000, "ss_network_module": "networks.lora", "modelspec.thumbnail": "data:image/jpeg,x",
        "ss_datasets": "[]", "prompt": "secret", "workflow": "{}", "ss_long": "x" * 70_000, "ss_empty": "",
    }  # fmt: skip
    found, odd = read(safetensors(tmp_path / "x", {"__metadata__": metadata}))
    assert found == {key: metadata[key] for key in ("ss_tag_frequency", "ss_network_module")}
    assert not odd


def test_a_header_without_metadata_tells_nothing(tmp_path: Path) -> None:
    assert read(safetensors(tmp_path / "x", {"w": TENSOR})) == ({}, ())
    assert read(safetensors(tmp_path / "x", {"__metadata__": {}, "w": TENSOR})) == ({}, ())
    assert read(safetensors(tmp_path / "x", {'a"__metadata__": {"format': TENSOR})) == ({}, ())


@pytest.mark.parametrize("before", [0, headers.WINDOW - 60, headers.WINDOW - 20, headers.WINDOW, 12_000_000])
def test_a_header_longer_than_anybody_parses_gives_its_metadata_in_little_memory(tmp_path: Path, before: int) -> None:
    tensor = b'"%s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' % (b"w" * before)
    text = b"{" + tensor + b'"__metadata__":' + json.dumps(KOHYA).encode() + b',"v":[' + b"1," * 6_000_000 + b"1]}"
    file = safetensors(tmp_path / "x", text)
    tracemalloc.start()
    try:
        assert read(file) == (KOHYA, ())
        assert tracemalloc.get_traced_memory()[1] < headers.METADATA_LIMIT * 2.5
    finally:
        tracemalloc.stop()


def test_k7_metadata_is_bounded_in_keys_in_length_and_in_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"ss_{n}": "x" for n in range(headers.KEYS + 10)}
    assert len(read(safetensors(tmp_path / "x", {"__metadata__": many}))[0]) == headers.KEYS
    wrong = read(safetensors(tmp_path / "x", {"__metadata__": {"ss_a": "1", "ss_b": {"c": 1}, "ss_d": "2"}}))
    assert wrong[0] == {"ss_a": "1"}
    assert "no object of texts" in wrong[1][0].why
    monkeypatch.setattr(headers, "METADATA_LIMIT", 60)
    assert len(read(safetensors(tmp_path / "x", {"__metadata__": many}))[1]) == 1


def test_k7_texts_that_cannot_be_kept_are_left_out(tmp_path: Path) -> None:
    text = rb'{"__metadata__":{"ss_a":"\ud800","ss_b":"ok","ss_c":"' + b"\xff" + rb'","\q":"x","ss_d":"\u0000"}}'
    assert read(safetensors(tmp_path / "x", text))[0] == {"ss_b": "ok", "ss_d": "\0"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK\x03\x04" + bytes(99), b"\x80\x02}q\x00.", b"<html>", struct.pack("<Q", 2**63) + b"{",
        struct.pack("<Q", 99_000_000) + b"{" + b" " * 99, struct.pack("<Q", 200_000_000) + b"{}", bytes(99),
        struct.pack("<Q", 3_000_000) + b"{" + b'"' * 3_000_000, struct.pack("<Q", 3_000_000) + b"{" * 3_000_001,
        struct.pack("<Q", 3_000_000) + b'{"__metadata__":{' + b'"' * 3_000_000,
        struct.pack("<Q", 3_000_000) + b'{"__metadata__":{' + b"\\" * 3_000_000,
    ],
)  # fmt: skip
def test_k6_k7_other_files_and_hostile_ones_tell_nothing(tmp_path: Path, content: bytes) -> None:
    assert read(str(put(tmp_path / "x.safetensors", content)))[0] == {}


def key(name: str) -> bytes:
    return struct.pack("<Q", len(name.encode())) + name.encode()


def text(value: str) -> bytes:
    return struct.pack("<I", 8) + key(value)


def gguf(*pairs: bytes, version: int = 3, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs) if count is None else count) + b"".join(pairs)


NAME = key("general.name") + text("Flux Ä")
TOKENS = key("tokenizer.tokens") + struct.pack("<IIQ", 9, 8, 2) + key("a") + key("b")
NUMBERS = key("x.y") + struct.pack("<IIQ", 9, 6, 2) + bytes(8)
KIND = key("general.file_type") + struct.pack("<II", 4, 7)


@pytest.mark.parametrize("version", [2, 3])
def test_the_general_keys_of_gguf_are_found_among_others(tmp_path: Path, version: int) -> None:
    other = key("llama.layers") + struct.pack("<I?", 7, True)
    data = gguf(TOKENS, NAME, NUMBERS, other, KIND, version=version)
    assert read(str(put(tmp_path / "x", data))) == ({"general.name": "Flux Ä", "general.file_type": "7"}, ())


@pytest.mark.parametrize(
    "data",
    [
        gguf(NAME, count=2**60), gguf(NAME, TOKENS[:-3]), gguf(NAME, key("a") + struct.pack("<IIQ", 9, 8, 2**60)),
        gguf(NAME, key("a") + struct.pack("<IIQ", 9, 0, 2**63)), gguf(NAME, key("a") + struct.pack("<I", 99)),
        gguf(NAME, struct.pack("<Q", 2**64 - 1) + b"a"), gguf(NAME, key("a") + struct.pack("<IIQ", 9, 9, 2**60)),
    ],
    ids=["pairs", "cut", "strings", "bytes", "kind", "key", "nested"],
)  # fmt: skip
def test_k7_a_gguf_whose_counts_lie_gives_what_came_before(tmp_path: Path, data: bytes) -> None:
    assert read(str(put(tmp_path / "x", data)))[0] == {"general.name": "Flux Ä"}


def test_a_gguf_of_another_version_is_an_oddity_and_a_cut_one_is_nothing(tmp_path: Path) -> None:
    assert "version 9" in read(str(put(tmp_path / "x", gguf(NAME, version=9))))[1][0].why
    assert read(str(put(tmp_path / "x", gguf(NAME)[:20]))) == ({}, ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300), at=st.integers(0, 200))
def test_k7_noise_never_fails(tmp_path: Path, noise: bytes, at: int) -> None:
    for whole in (gguf(TOKENS, NAME, NUMBERS), json.dumps({"__metadata__": KOHYA}).encode()):
        mixed = whole[:at] + noise + whole[at:]
        read(str(put(tmp_path / "x", mixed)))
        read(safetensors(tmp_path / "x", mixed))


def test_h6_a_pipe_is_refused_and_a_missing_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadContent):
        read(str(tmp_path / "fifo"))
    with pytest.raises(DiskUnavailable):
        read(str(tmp_path / "missing"))
