from __future__ import annotations

import pytest

from model_manager.errors import BadWorkflow
from model_manager.library.carried import recordings
from model_manager.library.carried.pictures import Read
from model_manager.library.carried.recordings import flac_texts, mp4_texts, webm_texts
from tests.library.carrying import box, commented, element, flac, keyed, mp4, webm


def reading(data: bytes) -> Read:
    return lambda start, size: data[start : start + size]


def test_comments_of_a_flac_have_lower_case_names() -> None:
    assert dict(flac_texts(reading(flac(PROMPT="{}", Title="x")), "a.flac")) == {"prompt": b"{}", "title": b"x"}


def test_comments_that_are_cut_off_are_said() -> None:
    data = bytearray(flac(prompt="{}"))
    data[data.index(b"prompt") - 4] = 200
    with pytest.raises(BadWorkflow, match="cut off"):
        list(flac_texts(reading(bytes(data)), "a.flac"))


def test_named_keys_of_a_film_are_found_by_their_number() -> None:
    data = mp4(keyed(encoder="Lavf", prompt="{}"))
    assert list(mp4_texts(reading(data), len(data), "a.mp4")) == [("encoder", b"Lavf"), ("prompt", b"{}")]


def test_the_film_itself_is_stepped_over() -> None:
    film = box(b"mdat", bytes(5_000_000))
    data = mp4(commented("{}"), before=film)
    seen: list[int] = []

    def read(start: int, size: int) -> bytes:
        seen.append(size)
        return data[start : start + size]

    assert list(mp4_texts(read, len(data), "a.mp4")) == [("comment", b"{}")]
    assert max(seen) < 100


def test_a_box_that_says_less_than_its_head_ends_the_walk() -> None:
    data = mp4(b"\0\0\0\3moov")
    assert list(mp4_texts(reading(data), len(data), "a.mp4")) == []


def test_more_boxes_than_any_film_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_BOXES", 5)
    data = mp4(b"", before=box(b"free", b"") * 10)
    with pytest.raises(BadWorkflow, match="boxes"):
        list(mp4_texts(reading(data), len(data), "a.mp4"))


def test_a_text_larger_than_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_TEXT", 10)
    data = mp4(commented("{" + " " * 20 + "}"))
    with pytest.raises(BadWorkflow, match="larger"):
        list(mp4_texts(reading(data), len(data), "a.mp4"))
    tags = webm(prompt="{" + " " * 20 + "}")
    with pytest.raises(BadWorkflow, match="larger"):
        list(webm_texts(reading(tags), len(tags), "a.webm"))


def test_tags_of_matroska_are_found_behind_the_film() -> None:
    data = webm(prompt="{}", workflow='{"nodes": []}')
    assert dict(webm_texts(reading(data), len(data), "a.webm")) == {"prompt": b"{}", "workflow": b'{"nodes": []}'}


def test_a_segment_of_unknown_length_goes_to_the_end() -> None:
    data = webm(prompt="{}")
    at = data.index(bytes.fromhex("18538067")) + 4
    live = data[:at] + b"\x01" + b"\xff" * 7 + data[at + 4 :]
    assert list(webm_texts(reading(live), len(live), "a.webm")) == [("prompt", b"{}")]


def test_more_elements_than_any_film_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_BOXES", 5)
    data = element(0x1A45DFA3, b"") * 10
    with pytest.raises(BadWorkflow, match="elements"):
        list(webm_texts(reading(data), len(data), "a.webm"))
