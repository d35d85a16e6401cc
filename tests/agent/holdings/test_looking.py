from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.agent.holdings import looking
from model_manager.agent.holdings.looking import kin_of, places, whole
from model_manager.errors import RootAway
from model_manager.facts.disk import Held, Root
from model_manager.library.scanning import Scan
from tests.decisions.making import digests

FAR = 1 << 62
"""A time after which nothing was written."""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    for name in ("loras/a.safetensors", "loras/set/b.safetensors", "loras/set0/c.safetensors", "vae/d.safetensors"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Root(path=str(tmp_path / "models"), own=True)


def known(root: Root) -> dict[str, Held]:
    return whole(root, {}, FAR).found


def test_a_whole_look_finds_every_model(root: Root) -> None:
    assert sorted(str(held.shelf) for held in whole(root, {}, FAR).found.values()) == [
        "loras/a.safetensors", "loras/set/b.safetensors", "loras/set0/c.safetensors", "vae/d.safetensors",
    ]  # fmt: skip


def test_what_is_as_known_is_no_news(root: Root) -> None:
    sight = places([(root, root.path)], known(root), ())
    assert (sight.there, sight.found) == ({}, {})


def test_what_was_restless_is_looked_at_again(root: Root) -> None:
    file = f"{root.path}/vae/d.safetensors"
    assert places([(root, file)], known(root), {file}).there == {file: known(root)[file].fingerprint}


def test_h4_a_directory_that_left_takes_all_below_it_and_nothing_beside_it(root: Root) -> None:
    before = known(root)
    Path(root.path, "loras/set/b.safetensors").unlink()
    Path(root.path, "loras/set").rmdir()
    assert places([(root, f"{root.path}/loras/set")], before, ()).there == {
        f"{root.path}/loras/set/b.safetensors": None
    }


def test_a_single_file_that_left_is_gone(root: Root) -> None:
    before = known(root)
    Path(root.path, "loras/a.safetensors").unlink()
    assert places([(root, f"{root.path}/loras/a.safetensors")], before, ()).there == {
        f"{root.path}/loras/a.safetensors": None
    }


def test_a_root_that_is_away_is_not_empty(root: Root, tmp_path: Path) -> None:
    before = known(root)
    Path(root.path).rename(tmp_path / "elsewhere")
    assert places([(root, root.path)], before, ()).there == {}
    with pytest.raises(RootAway):
        whole(root, {}, FAR)


def read(root: Root) -> dict[str, Held]:
    """What is known when every file was read."""
    return {file: replace(held, digests=digests()) for file, held in known(root).items()}


def test_a_hint_below_another_is_not_looked_at_twice(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = looking.examine

    def examine(root: Root, path: str, known: dict[str, Held]) -> Scan:
        looked.append(path)
        return real(root, path, known)

    monkeypatch.setattr(looking, "examine", examine)
    paths = [f"{root.path}/{part}" for part in ("loras", "loras/set", "loras/set/b.safetensors", "vae/d.safetensors")]
    assert len(places([(root, path) for path in paths], {}, ()).found) == 4
    assert looked == [paths[0], paths[3]]


def test_a_restless_file_that_left_is_gone_and_one_behind_a_lost_volume_is_not(root: Root, tmp_path: Path) -> None:
    before = known(root)
    file = Path(root.path, "vae/d.safetensors")
    file.unlink()
    assert places([(root, str(file))], before, {str(file)}).there == {str(file): None}
    file.parent.rmdir()
    file.parent.symlink_to(tmp_path / "unmounted")
    assert places([(root, str(file))], before, {str(file)}).there == {}


def test_h4_a_moved_file_is_kin_of_where_it_was_and_a_link_of_where_it_is(root: Root) -> None:
    before = read(root)
    moved, linked = Path(root.path, "loras/a.safetensors"), Path(root.path, "vae/d.safetensors")
    moved.rename(moved.with_name("moved.safetensors"))
    linked.with_name("linked.safetensors").hardlink_to(linked)
    look = whole(root, before, FAR)
    assert {held.shelf.name for held in look.found.values()} == {"moved.safetensors", "linked.safetensors"}
    assert (look.kin.moved, look.kin.linked) == ([before[str(moved)]], [before[str(linked)]])
    assert places([(root, root.path)], before, ()).kin == look.kin


def test_what_nobody_read_is_kin_of_nothing(root: Root) -> None:
    before = known(root)
    file = Path(root.path, "vae/d.safetensors")
    file.with_name("linked.safetensors").hardlink_to(file)
    look = whole(root, before, FAR)
    assert len(look.found) == 1
    assert (look.kin.moved, look.kin.linked) == ([], [])
    assert kin_of((), read(root)).linked == []


def test_what_was_written_just_now_is_young_unless_only_its_shelf_is_news(root: Root) -> None:
    look = whole(root, {}, 0)
    assert (look.found, len(look.young)) == ({}, 4)
    moved = {file: replace(held, root="/elsewhere") for file, held in known(root).items()}
    again = whole(root, moved, 0)
    assert (len(again.found), again.young) == (4, frozenset())
