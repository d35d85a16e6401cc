from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.errors import BadPath, RootAway
from model_manager.facts.shelf import ShelfPath
from model_manager.library.incoming.partial import Partial
from model_manager.library.incoming.staging import open_folder, part_name, sweep
from model_manager.library.incoming.staging import own_root as opened_root
from model_manager.library.markers import MARKER, PARTIAL
from tests.library.feeding import append
from tests.library.shelves import FLUX, URL, offer, own_root, put, staging

FAR = 1e12


def test_names_are_the_same_after_a_restart_and_differ_between_slots() -> None:
    assert part_name(FLUX) == part_name(ShelfPath(folder="checkpoints", name="flux.safetensors"))
    names = {
        part_name(ShelfPath(folder=folder, name=name))
        for folder in ("loras", "vae")
        for name in ("x.safetensors", "a/x.safetensors", "y.safetensors")
    }
    assert len(names) == 6


def test_names_that_collide_in_comfyui_share_their_key() -> None:
    unet, diffusion = (ShelfPath(folder=folder, name="x.gguf") for folder in ("unet", "diffusion_models"))
    assert part_name(unet) == part_name(diffusion)


def test_long_names_fit_the_file_system_with_journal_and_draft() -> None:
    name = part_name(ShelfPath(folder="loras", name="ü" * 115 + ".safetensors"))
    assert len(f"{name}.json.12345678.tmp".encode()) <= 255


def test_k3_a_link_in_place_of_our_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".p").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadPath):
        open_folder(str(tmp_path / ".p"))
    put(tmp_path / "file")
    with pytest.raises(BadPath):
        open_folder(str(tmp_path / "file"))


def test_c10_a_models_directory_without_our_marker_takes_nothing(tmp_path: Path) -> None:
    root = own_root(tmp_path)
    (tmp_path / MARKER).unlink()
    with pytest.raises(RootAway, match=MARKER), opened_root(root):
        pytest.fail("it was entered")


def test_c10_what_is_made_lands_on_the_volume_that_was_looked_at(tmp_path: Path) -> None:
    root, gone = own_root(tmp_path / "models"), tmp_path / "unmounted"
    with opened_root(root) as top:
        Path(root.path).rename(gone)
        Path(root.path).mkdir()
        with Partial.open(staging(root), FLUX, top=top) as partial:
            partial.begin(URL, offer())
            append(partial, b"x")
    assert os.listdir(root.path) == []
    assert sorted(os.listdir(gone / PARTIAL)) == [part_name(FLUX), f"{part_name(FLUX)}.json"]


def test_d9_partials_of_removed_assignments_are_swept_and_others_stay(tmp_path: Path) -> None:
    directory = staging(own_root(tmp_path))
    wanted, unwanted, running = (ShelfPath(folder="loras", name=f"{n}.safetensors") for n in "abc")
    for shelf in (wanted, unwanted):
        with Partial.open(directory, shelf) as partial:
            partial.begin(URL, offer())
            append(partial, b"x")
    put(Path(directory, "crumb.json.12345678.tmp"))
    with Partial.open(directory, running):
        removed = sweep(directory, {wanted}, FAR)
        assert sorted(removed) == sorted(
            [part_name(unwanted), f"{part_name(unwanted)}.json", "crumb.json.12345678.tmp"]
        )
        assert sorted(os.listdir(directory)) == sorted(
            [part_name(wanted), f"{part_name(wanted)}.json", part_name(running)]
        )


def test_d9_young_files_stay(tmp_path: Path) -> None:
    directory = staging(own_root(tmp_path))
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
    assert sweep(directory, (), 0) == ()
    assert len(os.listdir(directory)) == 2


def test_sweeping_touches_nothing_but_files(tmp_path: Path) -> None:
    os.makedirs(tmp_path / ".p" / "directory")
    os.mkfifo(tmp_path / ".p" / "fifo")
    (tmp_path / ".p" / "link").symlink_to(put(tmp_path / "theirs"))
    assert sweep(str(tmp_path / ".p"), (), FAR) == ()
    assert sweep(str(tmp_path / "missing"), (), FAR) == ()
