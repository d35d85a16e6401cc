from __future__ import annotations

import json
import os
import random
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from model_manager.errors import BadWorkflow, DiskUnavailable
from model_manager.library.carried.embedded import MAX_TEXTS, Embedded, embedded
from model_manager.library.carried.pictures import MAX_TEXT
from tests.library.carrying import (
    animated,
    box,
    commented,
    exif,
    flac,
    glb,
    international,
    jpeg,
    keyed,
    large_box,
    mp3,
    mp4,
    opus,
    packed,
    png,
    text,
    webm,
    webp,
)

PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "text": "Größe 大"}}})
DRAWN = json.dumps({"nodes": [], "links": [], "version": 0.4})
BOTH = Embedded(prompt=PROMPT.encode(), workflow=DRAWN.encode())
COMMENT = json.dumps({"prompt": PROMPT, "workflow": json.loads(DRAWN), "CreationTime": "2025"})

CARRIERS = {
    "png": png(text("prompt", PROMPT), text("workflow", DRAWN)),
    "png, packed": png(packed("prompt", PROMPT.encode()), packed("workflow", DRAWN.encode())),
    "png, international": png(international("prompt", PROMPT), international("workflow", DRAWN, pack=True)),
    "png, animated": png(late=animated("prompt", PROMPT) + animated("workflow", DRAWN)),
    "png, behind other texts": png(text("parameters", "a cat"), text("Workflow", DRAWN), text("prompt", PROMPT)),
    "webp": webp(exif(f"prompt:{PROMPT}", f"workflow:{DRAWN}")),
    "webp, as others write it": webp(exif(f"Workflow: {DRAWN}", f"Prompt:{PROMPT}", order=">"), prefix=b"Exif\0\0"),
    "jpeg": jpeg(exif(f"prompt:{PROMPT}", f"workflow:{DRAWN}")),
    "flac": flac(artist="me", prompt=PROMPT, WORKFLOW=DRAWN),
    "mp4": mp4(keyed(encoder="Lavf", prompt=PROMPT, workflow=DRAWN)),
    "mov": mp4(keyed(quicktime=True, prompt=PROMPT, workflow=DRAWN), before=large_box(b"free", bytes(50))),
    "mp4, a comment": mp4(commented(COMMENT)),
    "opus": opus(prompt=PROMPT, workflow=DRAWN),
    "mp3": mp3(prompt=PROMPT, workflow=DRAWN),
    "glb": glb(prompt=PROMPT, workflow=json.loads(DRAWN)),
    "webm": webm(encoder="Lavf", prompt=PROMPT, workflow=DRAWN),
    "webm, a comment": webm(comment=COMMENT),
}


@pytest.fixture
def carrying(tmp_path: Path) -> Path:
    return tmp_path / "carrier"


@pytest.mark.parametrize("kind", CARRIERS)
def test_both_texts_are_found_whatever_carries_them(carrying: Path, kind: str) -> None:
    carrying.write_bytes(CARRIERS[kind])
    found = embedded(carrying)
    assert found.prompt is not None
    assert found.workflow is not None
    assert json.loads(found.prompt) == json.loads(PROMPT)
    assert json.loads(found.workflow) == json.loads(DRAWN)
    assert found.document is None


def test_texts_beyond_ascii_are_utf_8_however_they_were_written(carrying: Path) -> None:
    plain = '{"1": {"text": "Größe"}}'
    carrying.write_bytes(png(text("prompt", plain)))
    assert embedded(carrying).prompt == plain.encode()
    carrying.write_bytes(png(text("prompt", plain.encode().decode("latin-1"))))
    assert embedded(carrying).prompt == plain.encode()


def test_json_is_taken_whole(carrying: Path) -> None:
    carrying.write_bytes(b'  {"nodes": []}')
    assert embedded(carrying) == Embedded(document=b'  {"nodes": []}')


@pytest.mark.parametrize(
    "data",
    [
        png(),
        png(text("parameters", "steps: 20")),
        webp(b""),
        jpeg(b"MM"),
        flac(title="x"),
        mp4(box(b"moov", b"")),
        webm(),
        opus(title="x"),
        mp3(title="x"),
        glb(),
    ],
)
def test_a_picture_without_a_workflow_says_so(carrying: Path, data: bytes) -> None:
    carrying.write_bytes(data)
    with pytest.raises(BadWorkflow, match="carries neither a workflow nor a prompt"):
        embedded(carrying)


def test_a_prompt_that_is_no_object_is_none(carrying: Path) -> None:
    carrying.write_bytes(png(text("prompt", "a cat"), text("workflow", DRAWN)))
    assert embedded(carrying) == Embedded(workflow=DRAWN.encode())


def test_h6_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadWorkflow, match="no regular file"):
        embedded(tmp_path / "pipe.png")


def test_a_file_that_is_not_there_is_a_typed_failure(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        embedded(tmp_path / "none.png")


def test_k7_a_packed_text_that_expands_without_end_is_refused(carrying: Path) -> None:
    carrying.write_bytes(png(packed("workflow", b"{" + bytes(MAX_TEXT + 10))))
    tracemalloc.start()
    try:
        with pytest.raises(BadWorkflow, match="larger than"):
            embedded(carrying)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_TEXT
    finally:
        tracemalloc.stop()


def test_k7_many_packed_texts_are_bounded_together(carrying: Path) -> None:
    most = packed("prompt", b"[" + bytes(MAX_TEXT - 10))
    carrying.write_bytes(png(*[most] * (MAX_TEXTS // MAX_TEXT + 1)))
    with pytest.raises(BadWorkflow, match="together"):
        embedded(carrying)


def test_k7_json_beyond_the_bound_is_not_read(carrying: Path) -> None:
    with carrying.open("wb") as file:
        file.truncate(MAX_TEXT + 1)
    with pytest.raises(BadWorkflow, match="larger than"):
        embedded(carrying)


def test_k7_boxes_in_boxes_without_end_cost_little(carrying: Path) -> None:
    deep = b""
    for _ in range(5000):
        deep = box(b"udta", deep)
    carrying.write_bytes(mp4(box(b"moov", deep)))
    with pytest.raises(BadWorkflow):
        embedded(carrying)


@pytest.mark.parametrize("kind", CARRIERS)
def test_k7_damaged_carriers_raise_nothing_but_what_is_promised(carrying: Path, kind: str) -> None:
    """Bytes changed, inserted and cut off at random, by a fixed seed."""
    whole, chance = CARRIERS[kind], random.Random(kind)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        carrying.write_bytes(bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.5 else data))
        with suppress(BadWorkflow):
            assert isinstance(embedded(carrying), Embedded)
