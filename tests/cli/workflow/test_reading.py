from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_manager.cli.workflow.reading import sheet
from model_manager.errors import BadWorkflow
from tests.cli.workflow.conftest import drawn
from tests.library.carrying import png, text

PROMPT = json.dumps({"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.pt"}}})
DRAWN = json.dumps(drawn(("LoraLoader", ["a.pt", 1, 1], {})))


def test_json_can_be_written_back_to_and_a_picture_cannot(tmp_path: Path) -> None:
    file, picture = tmp_path / "a.json", tmp_path / "a.png"
    file.write_text(DRAWN)
    picture.write_bytes(png(text("prompt", PROMPT)))
    assert sheet(file).data == DRAWN.encode()
    assert sheet(picture).data is None


def test_of_a_picture_with_both_what_was_drawn_is_what_one_goes_on_with(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(png(text("prompt", PROMPT), text("workflow", DRAWN)))
    found = sheet(picture)
    assert found.json == DRAWN.encode()
    assert [reference.names for reference in found.workflow.needed] == [("a.pt",)]


@pytest.mark.parametrize("data", [b"", b"{", b"5", b"[]", b'{"a": 1}', b"\xff\xfe{}"])
def test_what_is_no_workflow_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(data)
    with pytest.raises(BadWorkflow):
        sheet(file)
