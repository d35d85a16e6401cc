from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.holdings.tracking import Tracking
from model_manager.errors import BadRequest
from model_manager.facts.disk import Root
from model_manager.facts.event import ModelVanished
from model_manager.index.index import Index
from model_manager.library.watching import Watcher
from tests.agent.stage import AT, Stage, running, until


class Library:
    """What a person may track, and the loop that looks there."""

    def __init__(self, scene: Stage, index: Index | None = None) -> None:
        self.roots = Roots([scene.root], index or scene.index)
        self.tracking = Tracking(scene.board, self.roots)
        self.noticing = Noticing(scene.board, scene.shelves, self.roots, Watcher([scene.root.path]))

    @property
    def paths(self) -> set[str]:
        return {root.path for root in self.roots.all}


@pytest.fixture
async def library(scene: Stage) -> Library:
    made = Library(scene)
    await made.roots.load(AT)
    return made


def put(directory: Path, name: str) -> Path:
    """A model that was written long ago."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(b"weights")
    os.utime(directory / name, (1_700_000_000, 1_700_000_000))
    return directory / name


async def test_a_directory_that_a_person_adds_is_scanned_at_once_and_let_go_of_when_it_is_removed(
    scene: Stage, library: Library, tmp_path: Path
) -> None:
    file = put(tmp_path / "nas" / "style", "x.safetensors")
    async with running(library.noticing.run):
        await until(lambda: scene.board.scanned)
        tracked = await library.tracking.add(str(tmp_path / "nas"), "loras")
        assert (tracked.folder, tracked.tracked_by, tracked.state) == ("loras", "person", "never scanned")
        held = await until(lambda: scene.shelves.held.get(str(file)))
        assert str(held.shelf) == "loras/style/x.safetensors"
        seen = await until(lambda: _here(library))
        assert (seen.files, seen.bytes) == (1, 7)
        await library.tracking.remove(str(tmp_path / "nas"))
        await until(lambda: str(file) not in scene.shelves.held)
    assert file.exists()
    assert [told.models[0].path for told in await scene.told(ModelVanished)] == [str(file)]
    assert [each.path for each in await library.tracking.all()] == [str(scene.store)]


async def _here(library: Library):
    return next((each for each in await library.tracking.all() if each.folder and each.state == "here"), None)


async def test_what_a_person_tracks_is_still_tracked_after_a_restart(
    scene: Stage, library: Library, tmp_path: Path
) -> None:
    (tmp_path / "nas").mkdir()
    await library.tracking.add(str(tmp_path / "nas"), "loras")
    again = Library(scene)
    await again.roots.load(AT)
    assert Root(path=str(tmp_path / "nas"), folder="loras") in again.roots.all


async def test_c11_what_a_person_tracks_outlives_the_index(scene: Stage, library: Library, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    await library.tracking.add(str(tmp_path / "nas"), None)
    listed = json.loads((scene.state / "directories.json").read_text())
    assert [each["path"] for each in listed["directories"]] == [str(tmp_path / "nas")]
    (tmp_path / "other").mkdir()
    (scene.state / "directories.json").rename(tmp_path / "other" / "directories.json")
    async with Index.open(tmp_path / "other" / "index.sqlite") as rebuilt:
        again = Library(scene, rebuilt)
        await again.roots.load(AT)
        assert str(tmp_path / "nas") in again.paths


async def test_a_mistyped_directory_is_refused_and_nothing_is_made(library: Library, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (str(tmp_path / "nass"), str(tmp_path / "file"), "relative", "", "/dev/null"):
        with pytest.raises(BadRequest, match="no directory"):
            await library.tracking.add(path)
    assert not (tmp_path / "nass").exists()
    assert len(await library.tracking.all()) == 1


@pytest.mark.parametrize("folder", ["", "a/b", "..", ".hidden"])
async def test_k1_a_folder_that_is_no_name_is_refused(library: Library, tmp_path: Path, folder: str) -> None:
    with pytest.raises(BadRequest, match="no folder of ComfyUI"):
        await library.tracking.add(str(tmp_path), folder)


async def test_a_directory_whose_name_is_not_utf8_is_refused_before_the_index_hears_of_it(
    library: Library, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(odd)
    with pytest.raises(BadRequest, match="UTF-8"):
        await library.tracking.add(odd)


async def test_g4_what_is_tracked_already_or_overlaps_is_refused_by_whatever_name(
    scene: Stage, library: Library, tmp_path: Path
) -> None:
    (tmp_path / "nas" / "inner").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "nas")
    await library.tracking.add(str(tmp_path / "nas"))
    for path, why in (
        (tmp_path / "nas", "is tracked already"),
        (tmp_path / "alias", "is tracked already"),
        (tmp_path / "nas" / "inner", "which is tracked"),
        (scene.store, "is tracked already"),
        (tmp_path, "which is tracked"),
    ):
        with pytest.raises(BadRequest, match=why):
            await library.tracking.add(str(path))


async def test_dots_and_slashes_at_the_end_make_no_other_directory(library: Library, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    await library.tracking.add(f"{tmp_path}/x/../nas/")
    await library.tracking.remove(f"{tmp_path}/nas/.")
    assert len(await library.tracking.all()) == 1


async def test_only_what_a_person_tracks_can_be_removed(scene: Stage, library: Library, tmp_path: Path) -> None:
    for path in (str(scene.store), str(tmp_path / "never")):
        with pytest.raises(BadRequest, match="not tracked by a person"):
            await library.tracking.remove(path)
    assert str(scene.store) in library.paths


async def test_what_the_settings_name_too_stays_when_a_person_removes_it(scene: Stage, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    nas = Root(path=str(tmp_path / "nas"))
    first = Library(scene)
    await first.roots.load(AT)
    await first.tracking.add(nas.path)
    roots = Roots([scene.root, nas], scene.index)
    await roots.load(AT)
    await Tracking(scene.board, roots).remove(nas.path)
    assert nas in roots.all
    assert {each.path: each.tracked_by for each in await roots.directories()}[nas.path] == "settings"


async def test_c10_a_directory_that_is_away_and_removed_is_no_loss_any_more(
    scene: Stage, library: Library, tmp_path: Path
) -> None:
    put(tmp_path / "nas" / "loras", "x.safetensors")
    await library.tracking.add(str(tmp_path / "nas"))
    await library.noticing.reconcile()
    (tmp_path / "nas").rename(tmp_path / "unmounted")
    await library.noticing.reconcile()
    assert list(scene.board.lost_roots) == [str(tmp_path / "nas")]
    assert len(scene.shelves.held) == 1
    await library.tracking.remove(str(tmp_path / "nas"))
    await library.noticing.reconcile()
    assert scene.board.lost_roots == {}
    assert scene.shelves.held == {}
