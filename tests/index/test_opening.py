from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.errors import IndexUnavailable
from model_manager.facts.disk import Diff
from model_manager.index.opening import APPLICATION, KEPT

from .making import AT, MACHINE, begun, held, insist_that_it_is_whole, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An index of 300 files that was closed properly."""
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=tuple(held(f"{n}.gguf", content=str(n)) for n in range(300))), at=AT)
    store.close()
    return tmp_path / "index.db"


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(200_000))


def _text(path: Path) -> None:
    path.write_text("<html>not found</html>" * 500)


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _holes(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(os.urandom(4096))


def _leaf(path: Path) -> None:
    """A page of rows that nothing reads while an index is opened."""
    with path.open("r+b") as file:
        data = file.read()
        place = data.rindex(b"299.gguf") // 4096 * 4096
        file.seek(place)
        file.write(os.urandom(4096))


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE models (id INTEGER)")


def _half_schema(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE outbox")


def _no_identity(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM identity")


def _schema_without_number(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 0")


DAMAGE = (_garbage, _text, _half, _holes, _leaf, _foreign, _half_schema, _no_identity, _schema_without_number)


@pytest.mark.parametrize("damage", DAMAGE)
def test_c11_a_damaged_index_is_set_aside_and_made_anew(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    content = path.read_bytes()

    store = opened(path)

    assert "corrupt-1" in store.rebuilt
    assert Path(f"{path}.corrupt-1").read_bytes()[100:4000] == content[100:4000]
    assert store.held() == ()
    store.begin_epoch(1, MACHINE)
    store.apply(Diff(appeared=(held(),)), at=AT)
    insist_that_it_is_whole(store)
    store.close()
    assert opened(path).rebuilt == ""
    assert opened(path).held() == (held(),)


def test_c11_a_deleted_index_is_made_anew_though_its_log_was_left(path: Path) -> None:
    running = begun(path)
    running.apply(Diff(appeared=(held("late.gguf"),)), at=AT)
    log = Path(f"{path}-wal").read_bytes()
    running.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)

    store = opened(path)

    assert (store.rebuilt, store.held()) == ("", ())


def test_c11_without_its_log_the_index_is_older_but_whole(path: Path, tmp_path: Path) -> None:
    running = begun(path)
    running.apply(Diff(appeared=(held("late.gguf"),)), at=AT)
    left = tmp_path / "copy.db"
    left.write_bytes(path.read_bytes())

    store = opened(left)

    assert store.rebuilt == ""
    assert len(store.held()) == 300
    insist_that_it_is_whole(store)


def test_c11_a_log_of_garbage_costs_only_what_was_in_it(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(os.urandom(100_000))
    store = opened(path)
    assert (store.rebuilt, len(store.held())) == ("", 300)


def test_of_damaged_indexes_only_the_newest_are_kept(path: Path) -> None:
    for _ in range(KEPT + 2):
        _garbage(path)
        opened(path).close()
    assert sorted(file.name for file in path.parent.glob("*.corrupt-*")) == [
        "index.db.corrupt-3",
        "index.db.corrupt-4",
        "index.db.corrupt-5",
    ]


def test_an_empty_file_is_a_fresh_index(tmp_path: Path) -> None:
    (tmp_path / "index.db").touch()
    store = opened(tmp_path / "index.db")
    assert (store.rebuilt, store.held()) == ("", ())


def test_commits_are_durable_and_readers_do_not_block(path: Path) -> None:
    database = opened(path)._db
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


def test_c11_an_index_that_another_process_locked_is_never_set_aside(path: Path) -> None:
    hold = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('PRAGMA locking_mode=EXCLUSIVE');"
    hold += "d.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(IndexUnavailable, match="locked"):
            opened(path, patience=0)
        assert not list(path.parent.glob("*corrupt*"))
        holder.kill()
    assert len(opened(path).held()) == 300


def test_a_place_without_a_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="its directory exists"):
        opened(tmp_path / "nowhere" / "index.db")
