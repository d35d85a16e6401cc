from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable
from model_manager.facts.directory import Directory, Scan
from model_manager.facts.disk import Diff, Root
from model_manager.index.directories import NAME
from model_manager.index.store import Store

from .making import AT, ROOT, begun, held, opened

LATER = "2026-05-05T00:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return begun(tmp_path / "index.db")


def _paths(store: Store) -> dict[str, str]:
    return {one.path: one.tracked_by for one in store.directories()}


def test_a_person_adds_a_directory_once_and_takes_it_out_again(store: Store) -> None:
    added = store.track("/mnt/nas", "loras", at=AT)
    assert added == Directory(path="/mnt/nas", folder="loras", tracked_by="person", added_at=AT)
    assert store.track("/mnt/nas", "loras", at=LATER) == added
    assert store.untrack("/mnt/nas") is True
    assert store.untrack("/mnt/nas") is False
    assert store.directories() == ()


def test_the_settings_name_theirs_and_leave_those_of_persons(store: Store) -> None:
    store.track("/mnt/nas", at=AT)
    store.configured([Root(path=ROOT, own=True), Root(path="/old", folder="vae")], at=AT)
    assert _paths(store) == {"/mnt/nas": "person", "/old": "settings", ROOT: "settings"}
    assert [one.own for one in store.directories()] == [False, False, True]

    store.configured([Root(path=ROOT), Root(path="/mnt/nas")], at=LATER)
    assert _paths(store) == {"/mnt/nas": "person", ROOT: "settings"}
    assert not any(one.own for one in store.directories())

    store.configured([], at=LATER)
    assert _paths(store) == {"/mnt/nas": "person"}
    assert store.untrack(ROOT) is False


def test_a_directory_that_nobody_wants_goes_with_its_last_file_and_is_not_listed_before(store: Store) -> None:
    store.configured([Root(path=ROOT)], at=AT)
    store.apply(Diff(appeared=(held(),)), at=AT)
    store.configured([], at=AT)
    assert store.directories() == ()
    assert store.held() == (held(),)
    store.apply(Diff(vanished=(held(),)), at=AT)
    store.configured([], at=AT)
    assert store._db.execute("SELECT count(*) FROM directory").fetchone() == (0,)


def test_each_directory_has_its_own_state_and_one_that_is_away_keeps_its_figures(store: Store) -> None:
    store.configured([Root(path="/a"), Root(path="/b")], at=AT)
    store.scanned(Scan(path="/a", state="here", at=AT, seconds=1.5, files=3, bytes=30))
    store.scanned(Scan(path="/a", state="away", at=LATER, why="it is not mounted"))
    a, b = store.directories()
    assert (a.state, a.why, a.scanned_at, a.scan_seconds, a.files, a.bytes) == (
        "away",
        "it is not mounted",
        AT,
        1.5,
        3,
        30,
    )
    assert (b.state, b.scanned_at) == ("never scanned", "")
    store.scanned(Scan(path="/a", state="here", at=LATER, files=2, bytes=20))
    assert (store.directories()[0].why, store.directories()[0].files) == ("", 2)


@pytest.mark.parametrize("loss", ["deleted", "garbage"])
def test_c11_what_persons_track_survives_the_loss_of_the_database(tmp_path: Path, loss: str) -> None:
    store = opened(tmp_path / "index.db")
    wanted = [store.track("/mnt/nas", None, at=AT), store.track("/more/é", "loras", at=LATER)]
    store.close()
    if loss == "deleted":
        (tmp_path / "index.db").unlink()
    else:
        (tmp_path / "index.db").write_bytes(os.urandom(50_000))

    again = opened(tmp_path / "index.db")

    assert list(again.directories()) == wanted
    assert bool(again.rebuilt) == (loss == "garbage")


def test_d6_what_the_file_says_is_done_at_the_next_start(tmp_path: Path) -> None:
    """The file is written before the database: a kill between them leaves a wish that is not yet done."""
    store = opened(tmp_path / "index.db")
    store.track("/stays", None, at=AT)
    store.track("/goes", None, at=AT)
    store.close()
    kept = {"path": "/stays", "folder": None, "added_at": AT}
    (tmp_path / NAME).write_text(json.dumps({"directories": [kept, {**kept, "path": "/comes"}]}))
    assert [one.path for one in opened(tmp_path / "index.db").directories()] == ["/comes", "/stays"]


def test_a_file_that_was_removed_is_written_again(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    store.track("/mnt/nas", None, at=AT)
    store.close()
    (tmp_path / NAME).unlink()
    assert _paths(opened(tmp_path / "index.db")) == {"/mnt/nas": "person"}
    assert json.loads((tmp_path / NAME).read_text())["directories"][0]["path"] == "/mnt/nas"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"directories": [{"path": "/x"}]}', '{"directories": 3}'])
def test_a_file_that_cannot_be_understood_is_set_aside_and_said(tmp_path: Path, text: str) -> None:
    store = opened(tmp_path / "index.db")
    store.track("/mnt/nas", None, at=AT)
    store.close()
    (tmp_path / NAME).write_text(text)
    again = opened(tmp_path / "index.db")
    assert _paths(again) == {"/mnt/nas": "person"}
    assert f"{NAME}.unreadable" in again.rebuilt
    assert (tmp_path / f"{NAME}.unreadable").read_text() == text
    again.close()
    assert opened(tmp_path / "index.db").rebuilt == ""


def test_c9_a_wish_that_cannot_be_written_down_is_not_taken(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    (tmp_path / f"{NAME}.part").mkdir()
    with pytest.raises(DiskUnavailable, match="write"):
        store.track("/mnt/nas", None, at=AT)
    assert store.directories() == ()


def test_c9_a_directory_that_cannot_be_struck_out_stays_tracked(tmp_path: Path) -> None:
    """Else it would come back at the next start."""
    store = opened(tmp_path / "index.db")
    store.track("/mnt/nas", None, at=AT)
    (tmp_path / f"{NAME}.part").mkdir()
    with pytest.raises(DiskUnavailable, match="write"):
        store.untrack("/mnt/nas")
    assert _paths(store) == {"/mnt/nas": "person"}


def test_nothing_is_written_beside_an_index_that_no_person_uses(tmp_path: Path) -> None:
    store = begun(tmp_path / "index.db")
    store.configured([Root(path=ROOT)], at=AT)
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["index.db"]
