from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import BadPath, RootAway
from model_manager.facts.disk import Root
from model_manager.library import trash
from model_manager.library.markers import TRASH
from model_manager.library.scanning import scan
from tests.library.shelves import own_root, put


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return own_root(tmp_path / "models")


def at(root: Root, name: str) -> Path:
    return put(Path(root.path, name), name.encode())


def test_what_is_thrown_away_is_no_model_any_more_and_comes_back_as_it_was(root: Root) -> None:
    one, two = at(root, "loras/SD15/a.pt"), at(root, "loras/SD15/a.json")
    before = one.stat()
    moved = trash.throw(root, "o1", [str(one), str(two)])
    assert (moved.files, moved.left) == ((str(one), str(two)), ())
    assert not one.exists()
    assert scan(root, known={}).found == ()
    assert set(trash.held(root, "o1")) == {str(one), str(two)}
    assert set(trash.bring_back(root, "o1").files) == {str(one), str(two)}
    after = one.stat()
    assert (after.st_ino, after.st_mtime_ns, one.read_bytes()) == (
        before.st_ino,
        before.st_mtime_ns,
        b"loras/SD15/a.pt",
    )
    assert trash.bring_back(root, "o1").files == ()


def test_the_rest_is_done_by_who_does_it_again(root: Root) -> None:
    one, two = at(root, "loras/a.pt"), at(root, "loras/b.pt")
    trash.throw(root, "o1", [str(one)])
    again = trash.throw(root, "o1", [str(one), str(two)])
    assert again.files == (str(two),)
    assert [left.file for left in again.left] == [str(one)]
    assert len(trash.bring_back(root, "o1").files) == 2


def test_what_lies_there_meanwhile_is_never_replaced(root: Root) -> None:
    one = at(root, "loras/a.pt")
    trash.throw(root, "o1", [str(one)])
    put(one, b"newer")
    back = trash.bring_back(root, "o1")
    assert (back.files, "another file has its place" in back.left[0].why) == ((), True)
    assert one.read_bytes() == b"newer"
    one.unlink()
    assert trash.bring_back(root, "o1").files == (str(one),)


@pytest.mark.parametrize("name", ["../outside.pt", "loras/../../outside.pt", "link/x.pt"])
def test_k3_nothing_outside_of_the_directory_is_moved(root: Root, tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.pt").write_bytes(b"theirs")
    (tmp_path / "outside.pt").write_bytes(b"theirs")
    os.symlink(tmp_path / "other", Path(root.path, "link"))
    moved = trash.throw(root, "o1", [os.path.join(root.path, name)])
    assert (moved.files, len(moved.left)) == ((), 1)
    assert (tmp_path / "other" / "x.pt").exists()
    assert (tmp_path / "outside.pt").exists()


def test_k3_a_link_in_the_place_of_the_trash_is_refused(root: Root, tmp_path: Path) -> None:
    os.symlink(tmp_path, Path(root.path, TRASH))
    with pytest.raises(BadPath):
        trash.throw(root, "o1", [str(at(root, "loras/a.pt"))])


def test_a_directory_that_is_not_ours_or_not_there_is_left_alone(root: Root, tmp_path: Path) -> None:
    with pytest.raises(BadPath):
        trash.throw(replace(root, own=False), "o1", [])
    with pytest.raises(RootAway):
        trash.throw(replace(root, path=str(tmp_path / "nowhere")), "o1", [])


def test_a_week_later_it_is_gone_for_good(root: Root) -> None:
    one = at(root, "loras/a.pt")
    trash.throw(root, "o1", [str(one)])
    assert trash.empty(root, time.time() - trash.KEEP) == ()
    assert trash.empty(root, time.time() + 60) == ("o1",)
    assert trash.bring_back(root, "o1").files == ()
