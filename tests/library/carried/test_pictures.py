from __future__ import annotations

import struct

import pytest

from model_manager.errors import BadWorkflow
from model_manager.library.carried import pictures
from model_manager.library.carried.pictures import exif_texts, expanded, jpeg_texts, png_texts, utf8, webp_texts
from tests.library.carrying import chunk, exif, jpeg, packed, png, text, webp


def reading(data: bytes) -> pictures.Read:
    return lambda start, size: data[start : start + size]


def test_pixels_are_stepped_over() -> None:
    seen: list[int] = []
    data = png(chunk(b"IDAT", bytes(1_000_000)), text("prompt", "{}"))

    def read(start: int, size: int) -> bytes:
        seen.append(size)
        return data[start : start + size]

    assert list(png_texts(read, "x.png")) == [("prompt", b"{}")]
    assert max(seen) < 100


def test_a_packed_text_of_another_name_is_not_even_expanded() -> None:
    damaged = chunk(b"zTXt", b"icc\0\0no zlib at all")
    assert list(png_texts(reading(png(damaged, text("prompt", "{}"))), "x.png")) == [("prompt", b"{}")]


def test_a_damaged_packed_text_is_said() -> None:
    with pytest.raises(BadWorkflow, match="damaged"):
        list(png_texts(reading(png(chunk(b"zTXt", b"prompt\0\0no zlib"))), "x.png"))


def test_what_follows_the_end_of_a_png_is_not_looked_at() -> None:
    assert list(png_texts(reading(png() + text("prompt", "{}")), "x.png")) == []


def test_more_chunks_than_any_picture_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_CHUNKS", 3)
    with pytest.raises(BadWorkflow, match="chunks"):
        list(png_texts(reading(png(*[chunk(b"IDAT", b"")] * 4)), "x.png"))


def test_expanding_keeps_to_its_bound() -> None:
    assert expanded(__import__("zlib").compress(b"abc"), "x") == b"abc"


def test_a_webp_without_exif_has_no_texts() -> None:
    body = b"WEBP" + b"VP8 " + struct.pack("<I", 2) + b"ab"
    assert list(webp_texts(reading(b"RIFF" + struct.pack("<I", len(body)) + body), "x.webp")) == []


def test_an_exif_chunk_of_odd_length_is_read() -> None:
    assert list(webp_texts(reading(webp(exif("prompt:{}"))), "x.webp")) == [("prompt", b"{}")]


def test_a_jpeg_is_read_until_its_picture() -> None:
    assert list(jpeg_texts(reading(jpeg(exif("workflow:{}"))), "x.jpg")) == [("workflow", b"{}")]


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"nonsense"])
def test_what_is_no_exif_has_no_texts(data: bytes) -> None:
    assert list(exif_texts(data)) == []


def test_a_tag_that_points_nowhere_is_empty() -> None:
    tag = struct.pack("<HHII", 0x0110, 2, 50, 9999)
    assert list(exif_texts(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + tag)) == []


def test_latin_1_becomes_utf_8() -> None:
    assert utf8("é".encode("latin-1")) == "é".encode()


def test_packed_is_as_the_standard_says() -> None:
    assert list(png_texts(reading(png(packed("workflow", b"{}"))), "x.png")) == [("workflow", b"{}")]
