from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.judging import (
    HEADER_LIMIT,
    Right,
    Undecided,
    Wrong,
    early,
    format_of,
    header_length,
    received,
    sound,
    standing,
)
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.transfer import Received
from tests.decisions.making import BLAKE, SHA_A, SHA_B, digests, held, model

PICKLE = b"\x80\x02}q\x00."
ZIP = b"PK\x03\x04" + bytes(30)


def tensors(header: bytes | dict[str, object], size: int = 10) -> bytes:
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text)) + text + bytes(size)


def one(start: int = 0, end: int = 10) -> dict[str, object]:
    return {"w": {"dtype": "U8", "shape": [end], "data_offsets": [start, end]}}


GOOD = tensors(one())


def judged(data: bytes, name: str = "x.safetensors") -> str | None:
    length = header_length(data[:1024])
    return sound(name, data[:1024], None if length is None else data[8 : 8 + length], len(data))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"),
        (GOOD, "safetensors"),
        (b"GGUF\x03\x00\x00\x00", "gguf"),
        (PICKLE, "pickle"),
        (b"\x80\x05\x95", "pickle"),
        (ZIP, "zip"),
        (b"7z\xbc\xaf\x27\x1c", "archive"),
        (b"\x1f\x8b\x08", "archive"),
        (b"\x89HDF\r\n", "archive"),
        (b"<!DOCTYPE html>", "html"),
        (b"\n  <HTML>", "html"),
        (b"<?xml version", "html"),
        (b'{"error": "rate limited"}', "json"),
        (b"  [1]", "json"),
        (b"\x08\x07\x12\x07pytorch", "onnx"),
        (b"garbage", "unknown"),
        (struct.pack("<Q", 2**63) + b"{", "unknown"),
        (struct.pack("<Q", HEADER_LIMIT + 1) + b"{", "unknown"),
    ],
)
def test_a_file_is_what_its_first_bytes_say(head, kind):
    assert format_of(head) == kind


@pytest.mark.parametrize("head", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a", b"\x1f\x8b\x08", b"\x89HDF\r\n"])
@pytest.mark.parametrize("name", ["x.ckpt", "x.bin", "x.pth", "x.onnx", "x.gguf"])
def test_k6_an_archive_is_no_model_whatever_its_name(head: bytes, name: str) -> None:
    assert judged(head + bytes(2000), name)
    assert judged(head + bytes(2000), "vocab.txt") is None


@given(st.binary(max_size=64))
def test_any_bytes_have_a_format(head):
    assert format_of(head)


@pytest.mark.parametrize(
    ("name", "head", "good"),
    [
        ("x.safetensors", GOOD, True),
        ("x.safetensors", PICKLE + bytes(9), False),
        ("x.safetensors", ZIP, False),
        ("x.sft", b"GGUF" + bytes(9), False),
        ("x.gguf", b"GGUF" + bytes(9), True),
        ("x.gguf", GOOD, False),
        ("x.ckpt", PICKLE, True),
        ("x.ckpt", ZIP, True),
        ("x.pt", b"<html>", False),
        ("x.bin", b'{"error": 1}', False),
        ("config.json", b'{"a": 1}', True),
        ("config.json", b"<html>", False),
        ("x.onnx", b"\x08\x07\x12", True),
    ],
)
def test_b9_k6_what_is_no_model_is_seen_at_its_first_bytes(name, head, good):
    assert (early(name, head) is None) == good


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (GOOD, None),
        (b"", "empty"),
        (GOOD[:-1], "describes"),
        (GOOD + b"x", "describes"),
        (tensors(one(0, 2**60)), "describes"),
        (tensors({"w": {"data_offsets": [0]}}), "not a safetensors header"),
        (tensors({"w": {"data_offsets": [0, "x"]}}), "not a safetensors header"),
        (tensors({"w": 7}), "not a safetensors header"),
        (tensors(b"{" + b" " * 500), "not a safetensors header"),
        (tensors(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "longer than the file|not a safetensors header"),
        (tensors(b"{}", 0), None),
        (struct.pack("<Q", 2**63) + b"{" + bytes(50), "first bytes"),
        (struct.pack("<Q", 4000) + b"{" + bytes(50), "longer than the file"),
    ],
)
def test_k7_a_header_that_lies_is_seen(data, why):
    found = judged(data)
    assert found is None if why is None else any(part in (found or "") for part in why.split("|"))


def test_k7_a_header_that_names_a_tensor_twice_is_seen():
    """Two readers of it would load two different models."""
    twice = b'{"w": {"dtype": "U8", "shape": [5], "data_offsets": [0, 5]}, "w": {"dtype": "U8", "shape": [10], "data_offsets": [0, 10]}}'
    assert judged(tensors(twice)) is not None


def test_k7_offsets_before_the_first_byte_are_seen():
    assert judged(tensors({"w": {"dtype": "U8", "shape": [10], "data_offsets": [-5, 10]}})) is not None


@pytest.mark.parametrize("offsets", [((0, 4), (6, 10)), ((0, 8), (2, 10)), ((1, 10),), ((0, 10), (10, 5))])
def test_k7_gaps_and_overlaps_are_seen(offsets):
    header = {f"w{n}": {"dtype": "U8", "shape": [1], "data_offsets": list(pair)} for n, pair in enumerate(offsets)}
    assert judged(tensors(header)) is not None


@pytest.mark.parametrize(
    ("version", "count", "pairs", "good"),
    [(3, 1, 1, True), (2, 2**60, 0, False), (3, 0, 2**60, False), (3, 2, 2, True), (1, 2**60, 0, True)],
)
def test_k7_a_gguf_that_counts_more_than_it_can_hold_is_seen(version, count, pairs, good):
    data = b"GGUF" + struct.pack("<IQQ", version, count, pairs) + bytes(200)
    assert (judged(data, "x.gguf") is None) == good
    assert judged(data[:20], "x.gguf") is not None


@given(st.binary(max_size=200))
def test_k7_no_header_breaks_the_judge(header):
    judged(tensors(header))


def got(size: int = 100, promise: str | None = None, **more: object) -> Received:
    return Received(size=size, digests=digests(**more), promise=Pin.parse(promise), host="h.example")


MD5 = "md5:" + "e" * 32
FAST = replace(held(), digests=Digests(blake3=BLAKE))


@pytest.mark.parametrize(
    ("wanted", "file", "evidence"),
    [
        (model(pin=SHA_A), got(), "pin"),
        (model(pin=BLAKE), got(), "pin"),
        (model(pin=SHA_A.upper()), got(), "pin"),
        (model(pin=SHA_A[:10]), got(), "pin"),
        (model(pin=MD5), got(md5="e" * 32), "pin"),
        (model(), got(promise=SHA_A), "origin"),
        (model(size=100), got(), "length"),
        (model(), got(), "length"),
        (model(pin=SHA_A, size=7), got(), "pin"),
        (model(size=7, exact=False), got(), "length"),
    ],
)
def test_the_promised_bytes_are_right_and_it_is_said_by_what(wanted, file, evidence):
    verdict = received(wanted, file, None, announced=True, unpinned="accept")
    assert isinstance(verdict, Right)
    assert verdict.evidence == evidence


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        (model(pin=SHA_B), got()),
        (model(pin=SHA_B[:10]), got()),
        (model(pin=MD5), got(md5="f" * 32)),
        (model(pin=SHA_A), got(promise=SHA_B)),
        (model(), got(promise=SHA_B)),
        (model(size=101), got()),
        (model(pin=SHA_A[:10], size=101), got()),
    ],
)
def test_other_bytes_are_wrong(wanted, file):
    assert isinstance(received(wanted, file, None, announced=True, unpinned="accept"), Wrong)


def test_a_pin_whose_hash_was_not_computed_proves_nothing():
    verdict = received(model(pin=MD5), got(), None, announced=True, unpinned="accept")
    assert verdict != Right(evidence="pin", against=MD5)


def test_the_reason_names_the_hash_that_was_compared():
    only = Digests(blake3=BLAKE)
    fast = Received(size=100, digests=only, promise=None, host="h.example")
    verdict = received(model(pin=f"blake3:{SHA_B}"), fast, None, announced=True, unpinned="accept")
    assert verdict == Wrong(why=f"its hash is blake3:{BLAKE}, promised was blake3:{SHA_B}")
    short = received(model(pin=SHA_B[:10]), got(), None, announced=True, unpinned="accept")
    assert short == Wrong(why=f"its hash is autov2:{SHA_A[:10]}, promised was autov2:{SHA_B[:10]}")


@pytest.mark.parametrize("pin", [SHA_B, f"blake3:{BLAKE}"])
def test_a_download_that_cannot_be_compared_with_a_full_hash_gets_no_name(pin):
    only = Received(size=100, digests=Digests(sha256=SHA_A), promise=None, host="h.example")
    assert isinstance(received(model(pin=pin), only, None, announced=True, unpinned="accept"), Wrong)


def test_a_hash_of_the_origin_that_was_not_computed_is_no_obstacle():
    fast = Received(size=100, digests=Digests(blake3=BLAKE), promise=Pin.parse(f"sha256:{SHA_A}"), host="h.example")
    verdict = received(model(pin=f"blake3:{BLAKE}"), fast, None, announced=True, unpinned="accept")
    assert verdict == Right(evidence="pin", against=f"blake3:{BLAKE}")


def test_what_is_not_well_formed_is_only_right_under_a_strong_pin():
    for pin, right in ((SHA_A, True), (SHA_A[:10], False), (None, False)):
        verdict = received(model(pin=pin), got(), "its header lies", announced=True, unpinned="accept")
        assert isinstance(verdict, Right) == right


@pytest.mark.parametrize(("path", "right"), [("vae/x.safetensors", True), ("vae/x.gguf", False), ("vae/x.ckpt", False)])
def test_b7_an_end_that_nobody_announced_is_only_believed_of_files_that_tell_their_length(path, right):
    verdict = received(model(path), got(), None, announced=False, unpinned="accept")
    assert isinstance(verdict, Right) == right


def test_f8_without_a_hash_the_owner_may_refuse():
    assert isinstance(received(model(), got(), None, announced=True, unpinned="refuse"), Wrong)
    assert isinstance(received(model(), got(promise=SHA_A), None, announced=True, unpinned="refuse"), Right)


@pytest.mark.parametrize(
    ("wanted", "here", "verdict"),
    [
        (model(pin=SHA_A), held(), Right),
        (model(pin=SHA_A), held(evidence=None), Right),
        (model(pin=SHA_B), held(), Wrong),
        (model(pin=SHA_A), held(sha256=None, evidence=None), Undecided),
        (model(pin=MD5), held(), Undecided),
        (model(pin=f"sha256:{SHA_A}"), FAST, Undecided),
        (model(pin=SHA_A), FAST, Undecided),
        (model(pin=BLAKE), FAST, Right),
        (model(pin=f"blake3:{SHA_A}"), FAST, Wrong),
        (model(), FAST, Right),
        (model(), held(sha256=None, evidence=None), Undecided),
        (model(), held(evidence=None), Wrong),
        (model(), held(evidence="content"), Right),
        (model(size=100), held(evidence="content"), Right),
        (model(size=99), held(evidence="length"), Wrong),
        (model(size=99), held(evidence="origin"), Right),
        (model(size=99, exact=False), held(evidence="length"), Right),
    ],
)
def test_a_file_in_its_place_without_reading_it(wanted, here, verdict):
    assert isinstance(standing(wanted, here, "accept"), verdict)


@pytest.mark.parametrize(
    ("evidence", "verdict"), [("pin", Right), ("origin", Right), ("length", Wrong), ("content", Wrong)]
)
def test_f8_a_file_that_nobody_vouches_for_when_the_owner_refuses_those(evidence, verdict):
    assert isinstance(standing(model(), held(evidence=evidence), "refuse"), verdict)
