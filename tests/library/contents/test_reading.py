from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.errors import BadContent, DiskUnavailable
from model_manager.library.contents.reading import HEAD, MAX_HEADER, beginning
from tests.library.shelves import put


def test_a_safetensors_file_gives_head_and_header(tmp_path: Path) -> None:
    header = b'{"x":1}' + b" " * 9000
    content = len(header).to_bytes(8, "little") + header + b"body"
    assert beginning(str(put(tmp_path / "x", content))) == (content[:HEAD], header)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>", bytes(HEAD + 1)], ids=["empty", "gguf", "html", "zeros"])
def test_other_files_give_their_head_alone(tmp_path: Path, content: bytes) -> None:
    assert beginning(str(put(tmp_path / "x", content))) == (content[:HEAD], None)


def test_k7_a_header_length_that_lies_costs_no_more_than_the_file(tmp_path: Path) -> None:
    short = (9_000_000).to_bytes(8, "little") + b'{"x'
    assert beginning(str(put(tmp_path / "x", short)))[1] == b'{"x'
    huge = (MAX_HEADER + 1).to_bytes(8, "little") + b"{"
    assert beginning(str(put(tmp_path / "y", huge)))[1] is None


def test_h6_a_fifo_is_refused_and_a_missing_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadContent):
        beginning(str(tmp_path / "fifo"))
    with pytest.raises(DiskUnavailable):
        beginning(str(tmp_path / "missing"))
