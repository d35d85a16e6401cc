from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.errors import RootAway
from model_manager.library.contents.bundles import markers_below
from tests.library.shelves import as_nobody, put


def names(found: set[str], root: Path) -> set[str]:
    return {os.path.relpath(path, root) for path in found}


def test_every_marker_below_is_found_and_nothing_else(tmp_path: Path) -> None:
    markers = {"a/model_index.json", "a/unet/config.json", "b/x.safetensors.index.json", "config.json"}
    for file in (
        *markers,
        "a/model_index.json.bak",
        "b/x.safetensors",
        "b/tokenizer_config.json",
        ".hidden/config.json",
    ):
        put(tmp_path / file)
    assert names(markers_below(str(tmp_path)), tmp_path) == markers


def test_h6_linked_directories_are_followed_and_circles_end(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "config.json")
    root = tmp_path / "models"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    found = names(markers_below(str(root)), root)
    assert "linked/config.json" in found
    assert len(found) == 1


def test_a_name_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "ok" / "config.json")
    with open(os.fsencode(tmp_path) + b"/\xff.index.json", "wb"):
        pass
    assert names(markers_below(str(tmp_path)), tmp_path) == {"ok/config.json"}


def test_c10_a_directory_that_is_away_is_not_one_without_markers(tmp_path: Path) -> None:
    with pytest.raises(RootAway):
        markers_below(str(tmp_path / "gone"))


@pytest.mark.needs("root")
def test_one_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    put(tmp_path / "open" / "config.json")
    put(tmp_path / "shut" / "config.json")
    os.chmod(tmp_path / "shut", 0o700)
    for place in (*tmp_path.parents, tmp_path):
        os.chmod(place, place.stat().st_mode | 0o055)

    def look() -> None:
        assert names(markers_below(str(tmp_path)), tmp_path) == {"open/config.json"}

    as_nobody(look)
