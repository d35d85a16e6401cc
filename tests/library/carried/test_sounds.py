from __future__ import annotations

import pytest

from model_manager.errors import BadWorkflow
from model_manager.library.carried import sounds
from model_manager.library.carried.pictures import Read
from model_manager.library.carried.sounds import glb_texts, mp3_texts, ogg_texts
from tests.library.carrying import glb, id3_frame, mp3, opus


def reading(data: bytes) -> Read:
    return lambda start, size: data[start : start + size]


def test_comments_of_opus_may_take_many_pages() -> None:
    long = "{" + " " * 200_000 + "}"
    found = dict(ogg_texts(reading(opus(TITLE="x", prompt=long)), "a.opus"))
    assert found == {"title": b"x", "prompt": long.encode()}


def test_comments_are_found_however_pages_cut_them() -> None:
    for page in (1, 2, 3, 255):
        assert dict(ogg_texts(reading(opus(page=page, prompt="{}" * 500)), "a.opus")) == {"prompt": b"{}" * 500}


def test_pages_of_another_stream_are_stepped_over() -> None:
    data = opus(page=1, prompt="{}" * 300)
    second = data.index(b"OggS", 4)
    other = bytearray(data[:second])
    other[14:18] = b"else"
    assert dict(ogg_texts(reading(data[:second] + bytes(other) + data[second:]), "a.opus")) == {"prompt": b"{}" * 300}


def test_k7_comments_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "MAX_TEXT", 100_000)
    with pytest.raises(BadWorkflow, match="larger than"):
        list(ogg_texts(reading(opus(prompt="{}" * 200_000)), "a.opus"))


@pytest.mark.parametrize(("version", "encoding"), [(4, 3), (4, 0), (3, 1), (3, 0)])
def test_names_of_their_own_are_read_from_every_tag_that_is_in_use(version: int, encoding: int) -> None:
    data = mp3(version=version, encoding=encoding, PROMPT='{"a": "ö"}', workflow="{}" * 200)
    assert dict(mp3_texts(reading(data), "a.mp3")) == {"prompt": '{"a": "ö"}'.encode(), "workflow": b"{}" * 200}


def test_a_cover_is_stepped_over() -> None:
    seen: list[int] = []
    data = mp3(before=id3_frame(b"APIC", bytes(500_000)), prompt="{}")

    def read(start: int, size: int) -> bytes:
        seen.append(size)
        return data[start : start + size]

    assert dict(mp3_texts(read, "a.mp3")) == {"prompt": b"{}"}
    assert max(seen) < 100


def test_what_a_mesh_says_is_read_as_text_or_object() -> None:
    data = glb(prompt='{"1": {}}', workflow={"nodes": []}, scale=1)
    assert dict(glb_texts(reading(data), "a.glb")) == {"prompt": b'{"1": {}}', "workflow": b'{"nodes": []}'}


def test_a_mesh_whose_description_is_broken_is_refused() -> None:
    data = glb(prompt="{}").replace(b'{"asset"', b'["asset"')
    with pytest.raises(BadWorkflow, match="not JSON"):
        list(glb_texts(reading(data), "a.glb"))
