from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.errors import BadForeign, DiskUnavailable
from model_manager.neighbours import documents
from tests.library.shelves import as_nobody


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert documents.content(str(path), 5) == b"12345"
    with pytest.raises(BadForeign):
        documents.content(str(path), 4)


def test_an_object_is_read_and_another_value_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"a": 1}')
    assert documents.document(str(path)) == {"a": 1}
    path.write_text('"a"')
    assert documents.document(str(path)) is None


def test_a_listing_is_sorted_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "cab":
        (tmp_path / name).touch()
    assert documents.listing(str(tmp_path)) == ("a", "b", "c")
    monkeypatch.setattr(documents, "MAX_NAMES", 2)
    assert len(documents.listing(str(tmp_path))) == 2


def test_only_regular_files_have_a_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "nowhere", "a\0b"):
        assert documents.state_of(str(path)) is None
    (tmp_path / "x").write_bytes(b"123")
    state = documents.state_of(str(tmp_path / "x"))
    assert state
    assert state.st_size == 3


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "x").write_text("{}")

    def look() -> None:
        with pytest.raises(DiskUnavailable):
            documents.document(str(closed / "x"))

    as_nobody(look)
    with pytest.raises(DiskUnavailable):
        documents.document(str(tmp_path / "nowhere"))
    with pytest.raises(BadForeign):
        documents.document(str(tmp_path))
