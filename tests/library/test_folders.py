from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from model_manager.errors import BadSetting, DiskUnavailable, RootAway
from model_manager.facts.disk import Root
from model_manager.library.folders import (
    FOLDERS,
    Exposed,
    expose,
    extra_model_paths,
    extra_places,
    extra_roots,
    problems,
)
from model_manager.library.markers import mark
from model_manager.library.scanning import scan
from tests.library.shelves import as_nobody, own_root, put


def roots_of(tmp_path: Path, text: str, **variables: str) -> list[tuple[str | None, str]]:
    file = put(tmp_path / "extra_model_paths.yaml", text.encode())
    return [(root.folder, root.path) for root in extra_roots(str(file), variables)]


def test_a_file_as_comfyui_shows_it(tmp_path: Path) -> None:
    text = """
a111:
    base_path: /stable
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    clip: models/text
    unet: models/unet
    custom_nodes: nodes
nothing:
"""
    assert roots_of(tmp_path, text) == [
        ("checkpoints", "/stable/models/Stable-diffusion"),
        ("loras", "/stable/models/Lora"),
        ("loras", "/stable/models/LyCORIS"),
        ("text_encoders", "/stable/models/text"),
        ("diffusion_models", "/stable/models/unet"),
    ]


def test_paths_are_relative_to_the_file_and_nothing_is_stripped(tmp_path: Path) -> None:
    text = "a:\n  base_path: sub/../store\n  vae: 'x '\nb:\n  vae: ../other\n  loras: |\n    y # no comment\n"
    assert roots_of(tmp_path, text) == [
        ("vae", f"{tmp_path}/store/x "),
        ("vae", f"{tmp_path.parent}/other"),
        ("loras", f"{tmp_path}/y # no comment"),
    ]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("~/m", "/home/me/m/x"),
        ("$STORE/${DEEP}", "/store/d/x"),
        ("/$MISSING/${ALSO}", "/$MISSING/${ALSO}/x"),
        ("~root", f"{os.path.expanduser('~root')}/x"),
    ],
)
def test_home_and_variables_are_expanded_in_base_path_alone(tmp_path: Path, base: str, path: str) -> None:
    found = roots_of(tmp_path, f"a:\n  base_path: {base}\n  vae: x\n", HOME="/home/me", STORE="/store", DEEP="d")
    assert found == [("vae", path)]
    assert roots_of(tmp_path, "a:\n  vae: /$STORE/x\n", STORE="store") == [("vae", "/$STORE/x")]


def test_is_default_goes_first_and_repetition_counts_once(tmp_path: Path) -> None:
    text = """
a: {vae: "/one\\n/two"}
b: {is_default: true, vae: /three}
c: {is_default: true, vae: /two}
d: {vae: /three}
"""
    assert roots_of(tmp_path, text) == [("vae", "/two"), ("vae", "/three"), ("vae", "/one")]


@pytest.mark.parametrize("text", ["", "# nothing\n", "a:\n", "{}"])
def test_g1_an_empty_file_names_no_roots(tmp_path: Path, text: str) -> None:
    assert roots_of(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "- a", "a: 5", "a: {vae: [x, y]}", "a: {vae: 7}", "a: {base_path: [x], vae: y}", "a: {", "\x00",
        "!!python/object/apply:os.system ['true']", "[" * 500,
    ],
    ids=range(9),
)  # fmt: skip
def test_g3_what_comfyui_would_fail_on_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting, match=r"extra_model_paths\.yaml"):
        roots_of(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting):
        extra_roots(str(tmp_path / "missing.yaml"), {})


def test_our_store_is_read_back_as_comfyui_reads_it(tmp_path: Path) -> None:
    store = tmp_path / "my store: ü"
    file = put(tmp_path / "ours.yaml", extra_model_paths(store, ("unet", "diffusion_models", "loras", "clip")).encode())
    found = [(root.folder, root.path) for root in extra_roots(str(file), {})]
    assert found == [
        ("text_encoders", f"{store}/clip"),
        ("diffusion_models", f"{store}/unet"),
        ("diffusion_models", f"{store}/diffusion_models"),
        ("loras", f"{store}/loras"),
    ]
    assert yaml.safe_load(file.read_text())["model_manager"]["is_default"] is True


def test_every_folder_of_comfyui_is_shown_by_default(tmp_path: Path) -> None:
    file = put(tmp_path / "ours.yaml", extra_model_paths("/store").encode())
    assert {os.path.basename(root.path) for root in extra_roots(str(file), {})} == set(FOLDERS)


def test_a_store_that_comfyui_would_read_otherwise_is_refused() -> None:
    with pytest.raises(BadSetting):
        extra_model_paths("/st$HOME", ("loras",))


def test_g4_problems_are_said_all_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    good, file = own_root(tmp_path / "good"), put(tmp_path / "file")
    (tmp_path / "alias").symlink_to(good.path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    roots = [
        good,
        Root(path=str(tmp_path / "typo"), own=True),
        Root(path=str(file)),
        Root(path=str(tmp_path / "alias"), own=True),
        own_root(tmp_path / "good" / "inside"),
        Root(path=str(tmp_path / "dangling")),
        Root(path=str(tmp_path / "good" / "inside"), folder="loras"),
    ]
    said = [str(problem) for problem in problems(roots)]
    for path, why in (
        ("typo", "does not exist"), ("file", "not a directory"), ("alias", "same directory"),
        ("inside", "inside the other"), ("dangling", "not a directory"),
    ):  # fmt: skip
        assert any(f"/{path}" in line and why in line for line in said), (path, said)
    assert problems([good]) == ()
    assert not (tmp_path / "typo").exists()


@pytest.mark.needs("root")
def test_k11_a_root_that_we_may_not_read_or_write_is_named(tmp_path: Path) -> None:
    closed, readable = own_root(tmp_path / "closed"), own_root(tmp_path / "readable")
    for path in (tmp_path, *tmp_path.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "readable").chmod(0o755)

    def look() -> None:
        assert "may not read" in str(problems([closed])[0])
        assert "may not write" in str(problems([readable])[0])
        assert problems([Root(path=readable.path)]) == ()

    as_nobody(look)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    mark(own_root(tmp_path / "store").path)
    for place in ("loras/SD15/x.safetensors", "checkpoints/y.ckpt", "configs/z.yaml"):
        put(tmp_path / "store" / place, place.encode())
    put(tmp_path / "store" / ".model_manager_partial" / "u.part")
    put(tmp_path / "store" / "loras" / "notes.md")
    return tmp_path / "store"


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    put(tmp_path / "ComfyUI" / "models" / "checkpoints" / "put_checkpoints_here")
    return tmp_path / "ComfyUI" / "models"


def test_a_fresh_clone_shows_the_store_and_a_second_time_changes_nothing(store: Path, comfy: Path) -> None:
    done = expose(store, comfy)
    assert set(done.linked) == {"loras/SD15/x.safetensors", "checkpoints/y.ckpt", "configs/z.yaml"}
    assert (comfy / "loras/SD15/x.safetensors").read_bytes() == b"loras/SD15/x.safetensors"
    assert expose(store, comfy) == Exposed()
    assert {str(item.shelf) for item in scan(Root(path=str(comfy))).found} == {
        "loras/SD15/x.safetensors",
        "checkpoints/y.ckpt",
    }


def test_i7_no_file_or_link_of_the_user_is_touched(store: Path, comfy: Path, tmp_path: Path) -> None:
    put(comfy / "checkpoints" / "y.ckpt", b"theirs")
    (comfy / "configs").mkdir()
    (comfy / "configs" / "z.yaml").symlink_to(tmp_path / "nowhere")
    done = expose(store, comfy)
    assert set(done.kept) == {"checkpoints/y.ckpt", "configs/z.yaml"}
    assert (comfy / "checkpoints" / "y.ckpt").read_bytes() == b"theirs"
    assert os.readlink(comfy / "configs" / "z.yaml") == str(tmp_path / "nowhere")


def test_only_our_dangling_links_are_removed(store: Path, comfy: Path, tmp_path: Path) -> None:
    expose(store, comfy)
    (comfy / "loras" / "theirs.pt").symlink_to(tmp_path / "gone")
    (store / "checkpoints" / "y.ckpt").unlink()
    assert expose(store, comfy).removed == ("checkpoints/y.ckpt",)
    assert not os.path.lexists(comfy / "checkpoints" / "y.ckpt")
    assert os.path.lexists(comfy / "loras" / "theirs.pt")
    assert (comfy / "checkpoints" / "put_checkpoints_here").exists()


def test_a_directory_that_leads_into_the_store_is_seen_already(store: Path, comfy: Path) -> None:
    (comfy / "loras").symlink_to(store / "loras")
    done = expose(store, comfy)
    assert "loras/SD15/x.safetensors" not in done.linked + done.kept
    assert os.listdir(store / "loras" / "SD15") == ["x.safetensors"]
    assert not (store / "loras" / "SD15" / "x.safetensors").is_symlink()


def test_k3_nothing_is_written_through_a_linked_directory(store: Path, comfy: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (comfy / "loras").symlink_to(tmp_path / "elsewhere")
    put(comfy / "configs", b"a file")
    done = expose(store, comfy)
    assert set(done.kept) == {"loras/SD15/x.safetensors", "configs/z.yaml"}
    assert os.listdir(tmp_path / "elsewhere") == []


def test_models_that_are_the_store_itself_need_nothing(store: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(store)
    assert expose(store, tmp_path / "models") == expose(store, store) == Exposed()


def test_a_tree_that_is_not_cloned_yet_is_away(store: Path, comfy: Path, tmp_path: Path) -> None:
    for pair in ((store, tmp_path / "no"), (tmp_path / "no", comfy)):
        with pytest.raises(RootAway):
            expose(*pair)


@pytest.mark.needs("root")
def test_k11_a_tree_that_we_may_not_write_to_is_said(store: Path, comfy: Path, tmp_path: Path) -> None:
    for path in (*comfy.rglob("*"), *store.rglob("*"), comfy, comfy.parent, store, tmp_path, *tmp_path.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)

    def try_it() -> None:
        with pytest.raises(DiskUnavailable, match="Permission denied"):
            expose(store, comfy)

    as_nobody(try_it)


def test_entries_say_their_category_and_whether_they_go_first(tmp_path: Path) -> None:
    file = tmp_path / "extra.yaml"
    file.write_text(
        "one:\n  base_path: /a\n  is_default: true\n  unet: x\n  custom_nodes: c\ntwo:\n  base_path: /b\n  loras: |\n    l\n    m\n"
    )
    assert [(each.category, each.path, each.first) for each in extra_places(str(file), {})] == [
        ("diffusion_models", "/a/x", True), ("loras", "/b/l", False), ("loras", "/b/m", False),
    ]  # fmt: skip
