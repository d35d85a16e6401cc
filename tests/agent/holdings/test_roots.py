from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.agent.holdings.roots import Roots, distinct, insist_on_store, roots_of
from model_manager.errors import BadSetting
from model_manager.facts.disk import Root
from model_manager.index.index import Index
from model_manager.library.markers import MARKER, Away, Present
from model_manager.library.scanning import scan
from tests.agent.stage import AT, Stage, settings


async def test_a_new_store_is_marked_and_known_from_then_on(scene: Stage) -> None:
    roots = Roots([scene.root], scene.index)
    first = await roots.look(scene.root, had_files=False)
    assert isinstance(first, Present)
    assert (scene.store / MARKER).exists()
    again = Roots([scene.root], scene.index)
    assert await again.look(scene.root, had_files=True) == first


async def test_c10_a_store_without_its_marker_is_away_and_not_marked_again(scene: Stage) -> None:
    roots = Roots([scene.root], scene.index)
    await roots.look(scene.root, had_files=False)
    (scene.store / MARKER).unlink()
    for each in (roots, Roots([scene.root], scene.index)):
        assert isinstance(await each.look(scene.root, had_files=False), Away)
    assert not (scene.store / MARKER).exists()


async def test_c10_another_volume_in_its_place_is_away(scene: Stage) -> None:
    roots = Roots([scene.root], scene.index)
    await roots.look(scene.root, had_files=False)
    (scene.store / MARKER).write_text('{"root": "other", "of": "model_manager"}')
    state = await roots.look(scene.root, had_files=False)
    assert isinstance(state, Away)
    assert "another volume" in state.why


async def test_a_directory_that_is_only_read_is_never_marked(scene: Stage, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    root = Root(path=str(foreign))
    roots = Roots([scene.root, root], scene.index)
    assert await roots.look(root, had_files=False) == Present(id="")
    assert list(foreign.iterdir()) == []
    assert isinstance(await roots.look(root, had_files=True), Away)


def test_g4_the_same_directory_under_two_names_is_one_root(tmp_path: Path) -> None:
    store, inside = tmp_path / "store", tmp_path / "store" / "inside"
    inside.mkdir(parents=True)
    alias = tmp_path / "alias"
    alias.symlink_to(store)
    own = Root(path=str(store), own=True)
    found = distinct([Root(path=str(alias)), Root(path=str(inside)), own, Root(path=str(tmp_path / "other"))])
    assert found == (own, Root(path=str(tmp_path / "other")))


def test_the_roots_are_the_store_and_what_else_was_named(tmp_path: Path) -> None:
    extra = tmp_path / "extra.yaml"
    extra.write_text(f"other:\n  base_path: {tmp_path}/shared\n  checkpoints: weights\n")
    found = roots_of(
        settings(
            tmp_path,
            MODEL_PATH=str(tmp_path / "old"),
            COMFYUI_MODELS_PATH=str(tmp_path / "comfy"),
            MODEL_MANAGER_EXTRA_MODEL_PATHS=str(extra),
        )
    )
    assert found[0] == Root(path=str(tmp_path / "models"), own=True)
    assert Root(path=str(tmp_path / "old")) in found
    assert Root(path=str(tmp_path / "shared/weights"), folder="checkpoints") in found
    assert Root(path=str(tmp_path / "comfy"), showing=str(tmp_path / "models")) in found


async def test_a_comfyui_tree_that_is_not_cloned_yet_is_no_loss(tmp_path: Path) -> None:
    async with Index.open(tmp_path / "index.sqlite") as index:
        tree = Root(path=str(tmp_path / "comfy"), showing=str(tmp_path / "models"))
        own = Root(path=str(tmp_path / "models"), own=True)
        for had, kept in (({tree.path}, (own, tree)), (set(), (own,))):
            roots = Roots([own, tree], index)
            roots.leave_out_absent(had)
            assert roots.all == kept


def test_the_last_directory_of_the_store_is_made(tmp_path: Path) -> None:
    insist_on_store(Root(path=str(tmp_path / "models"), own=True), "MODEL_MANAGER_STORE")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("wrong", ["no/such/models", "file", "dangling", "/models-mistyped", "file/models"])
def test_g4_a_store_that_cannot_be_one_is_named_and_never_created(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "file").write_text("no directory")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    path = tmp_path / wrong
    with pytest.raises(BadSetting) as raised:
        insist_on_store(Root(path=str(path), own=True), "MODEL_MANAGER_STORE")
    assert str(path) in str(raised.value)
    assert "MODEL_MANAGER_STORE" in str(raised.value)
    assert not path.is_dir()


def test_our_own_links_in_comfyuis_tree_are_not_counted_again_and_its_own_files_are(tmp_path: Path) -> None:
    store, tree = tmp_path / "models", tmp_path / "ComfyUI" / "models"
    for path in (store / "vae" / "ours.safetensors", tree / "vae" / "theirs.safetensors"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    (tree / "vae" / "ours.safetensors").symlink_to(store / "vae" / "ours.safetensors")
    roots = roots_of(settings(tmp_path, WORKSPACE_PATH=tmp_path, MODEL_MANAGER_STORE=store))
    assert [str(item.shelf) for root in roots for item in scan(root).found] == [
        "vae/ours.safetensors",
        "vae/theirs.safetensors",
    ]


def test_the_yaml_that_comfyui_reads_by_itself_counts(tmp_path: Path) -> None:
    base = tmp_path / "ComfyUI"
    base.mkdir()
    (base / "extra_model_paths.yaml").write_text("mine:\n  loras: /elsewhere/loras\n")
    roots = roots_of(settings(tmp_path, COMFYUI_BASE_PATH=base, MODEL_MANAGER_STORE=tmp_path / "models"))
    assert Root(path="/elsewhere/loras", folder="loras") in roots


async def test_a_persons_workbench_keeps_the_directories_that_an_agents_settings_named(
    scene: Stage, tmp_path: Path
) -> None:
    tree = Root(path=str(tmp_path / "comfy"), showing=str(scene.store))
    await Roots([scene.root, tree], scene.index).load(AT)
    (tmp_path / "nas").mkdir()
    await scene.index.track(str(tmp_path / "nas"), "loras", at=AT)
    bench = Roots((), scene.index)
    await bench.load(AT, keeping=True)
    assert set(bench.all) == {scene.root, tree, Root(path=str(tmp_path / "nas"), folder="loras")}
    assert {each.path: each.own for each in await bench.directories()}[str(scene.store)]


async def test_a_workbench_with_a_store_of_its_own_settings_has_one_store(scene: Stage, tmp_path: Path) -> None:
    await Roots([scene.root], scene.index).load(AT)
    mine = Root(path=str(tmp_path / "mine"), own=True)
    bench = Roots([mine], scene.index)
    await bench.load(AT, keeping=True)
    assert [root.path for root in bench.all if root.own] == [mine.path]
    assert str(scene.store) in {root.path for root in bench.all}


async def test_an_agents_settings_are_exactly_its_directories(scene: Stage, tmp_path: Path) -> None:
    other = Root(path=str(tmp_path / "other"))
    await Roots([scene.root, other], scene.index).load(AT)
    await Roots([scene.root], scene.index).load(AT)
    assert [each.path for each in await scene.index.directories()] == [str(scene.store)]
