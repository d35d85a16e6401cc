from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable
from model_manager.facts.disk import Root
from model_manager.library.markers import (
    MARKER,
    QUARANTINE,
    Away,
    Fresh,
    Present,
    any_there,
    inspect,
    mark,
    quarantined,
)
from tests.library.faulty import FaultyDisk
from tests.library.shelves import as_nobody, put


def _root(path: Path) -> Root:
    path.mkdir(exist_ok=True)
    return Root(path=str(path), own=True)


def test_a_directory_that_was_never_ours_is_fresh_and_marked_once(tmp_path: Path) -> None:
    root = _root(tmp_path)
    assert inspect(root) == Fresh()
    made = mark(root.path)
    assert inspect(root) == inspect(root, known_id=made) == Present(id=made)
    assert mark(root.path) == made
    assert (tmp_path / MARKER).stat().st_mode & 0o777 == 0o644


def test_c10_an_empty_mount_point_is_away_and_not_empty(tmp_path: Path) -> None:
    root = _root(tmp_path)
    made = mark(root.path)
    (tmp_path / MARKER).unlink()
    state = inspect(root, known_id=made)
    assert isinstance(state, Away)
    assert MARKER in state.why


def test_c10_another_volume_is_away(tmp_path: Path) -> None:
    root = _root(tmp_path)
    made = mark(root.path)
    state = inspect(root, known_id="f" * 32)
    assert isinstance(state, Away)
    assert made in state.why


def test_g4_a_root_that_is_missing_or_a_file_is_away_and_is_not_made(tmp_path: Path) -> None:
    missing = Root(path=str(tmp_path / "typo"), own=True)
    assert inspect(missing) == Away(why="it does not exist")
    with pytest.raises(DiskUnavailable):
        mark(missing.path)
    assert not (tmp_path / "typo").exists()
    put(tmp_path / "file")
    assert inspect(Root(path=str(tmp_path / "file"), own=True)) == Away(why="it is not a directory")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"root": 7}', b'{"root": ""}', b"\xff"])
def test_a_damaged_marker_is_away_and_is_never_overwritten(tmp_path: Path, content: bytes) -> None:
    root = _root(tmp_path)
    put(tmp_path / MARKER, content)
    assert isinstance(inspect(root), Away)
    with pytest.raises(DiskUnavailable, match="delete it"):
        mark(root.path)
    assert (tmp_path / MARKER).read_bytes() == content


def test_h6_a_marker_that_is_a_fifo_or_a_link_does_not_hang_and_is_away(tmp_path: Path) -> None:
    root = _root(tmp_path)
    os.mkfifo(tmp_path / MARKER)
    assert isinstance(inspect(root), Away)
    (tmp_path / MARKER).unlink()
    (tmp_path / "elsewhere").write_text(json.dumps({"root": "x"}))
    (tmp_path / MARKER).symlink_to(tmp_path / "elsewhere")
    assert isinstance(inspect(root), Away)


def test_a_crash_while_marking_leaves_no_half_marker(tmp_path: Path) -> None:
    root = _root(tmp_path)
    with pytest.raises(DiskUnavailable):
        mark(root.path, FaultyDisk("replace", 5))
    assert inspect(root) == Fresh()
    assert os.listdir(tmp_path) == []


def test_c10_a_foreign_root_is_away_only_when_it_held_models_and_is_completely_empty(tmp_path: Path) -> None:
    foreign = Root(path=str(tmp_path), folder="loras")
    assert inspect(foreign) == Present(id="")
    assert isinstance(inspect(foreign, had_files=True), Away)
    put(tmp_path / "readme.txt")
    assert inspect(foreign, had_files=True) == Present(id="")
    assert not (tmp_path / MARKER).exists()


@pytest.mark.needs("root")
def test_k11_a_root_that_we_may_not_read_is_away_with_the_reason(tmp_path: Path) -> None:
    closed = _root(tmp_path / "closed")
    for path in (tmp_path, *tmp_path.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o011)
    (tmp_path / "closed").chmod(0o700)

    def look() -> None:
        state = inspect(closed)
        assert isinstance(state, Away)
        assert "Permission denied" in state.why

    as_nobody(look)


def test_one_file_that_is_there_is_enough(tmp_path: Path) -> None:
    here = tmp_path / "a.safetensors"
    assert not any_there([str(here)])
    here.symlink_to(tmp_path / "nothing")
    assert any_there([str(tmp_path / "b"), str(here)])


def test_files_that_were_set_aside_are_counted_and_none_is_no_failure(tmp_path: Path) -> None:
    assert quarantined(str(tmp_path)) == 0
    (tmp_path / QUARANTINE).mkdir()
    (tmp_path / QUARANTINE / "vae--a.safetensors.1").write_bytes(b"x")
    assert quarantined(str(tmp_path)) == 1
