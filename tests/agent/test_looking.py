from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.agent.looking import places, whole
from model_manager.errors import RootAway
from model_manager.facts.disk import Held, Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    for name in ("loras/a.safetensors", "loras/set/b.safetensors", "loras/set0/c.safetensors", "vae/d.safetensors"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Root(path=str(tmp_path / "models"), own=True)


def known(root: Root) -> dict[str, Held]:
    return {held.file: held for held in whole(root)[1]}


def test_a_whole_look_finds_every_model(root: Root) -> None:
    assert sorted(str(held.shelf) for held in whole(root)[1]) == [
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
        whole(root)
