from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.facts.disk import Diff
from model_manager.index.reading import Shop
from model_manager.index.store import Store

from .making import AT, begun, held

FILES = (
    ("checkpoints", "SD15/dream.safetensors"),
    ("loras", "sd15.pt"),
    ("loras", "sd15/anime/tall.pt"),
    ("loras", "sd15/anime.pt"),
    ("loras", "style/sd15.pt"),
    ("vae", "Été/x.bin"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.sqlite")
    files = tuple(held(name, folder=folder, inode=20 + at) for at, (folder, name) in enumerate(FILES))
    store.apply(Diff(appeared=files), at=AT)
    return store


def found(store: Store, text: str, folder: str | None = None, limit: int = 50) -> list[str]:
    with Shop.open(store.path) as shop:
        return [f"{known.folder}/{known.name}" for known in shop.find(text, folder=folder, limit=limit)]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("d15/a", ["loras/sd15/anime.pt", "loras/sd15/anime/tall.pt"]),
        ("15/", ["checkpoints/SD15/dream.safetensors", "loras/sd15/anime.pt", "loras/sd15/anime/tall.pt"]),
        ("as/s", ["loras/sd15.pt", "loras/sd15/anime.pt", "loras/sd15/anime/tall.pt", "loras/style/sd15.pt"]),
        ("Té/X", ["vae/Été/x.bin"]),
        ("anime/x", []),
        ("as/sd15.p", ["loras/sd15.pt"]),
        ("nim", ["loras/sd15/anime.pt", "loras/sd15/anime/tall.pt"]),
        ("tyl", ["loras/style/sd15.pt"]),
        ("lora", []),
    ],
)
def test_a_part_of_a_path_may_reach_over_folders_and_into_the_name(store: Store, text: str, files: list[str]) -> None:
    assert found(store, text) == files


def test_in_a_folder_names_come_before_what_lies_in_a_subfolder_that_is_called_so(store: Store) -> None:
    assert found(store, "d15", folder="loras") == [
        "loras/sd15.pt", "loras/style/sd15.pt", "loras/sd15/anime.pt", "loras/sd15/anime/tall.pt",
    ]  # fmt: skip
    assert found(store, "nime", folder="loras/sd15") == ["loras/sd15/anime.pt", "loras/sd15/anime/tall.pt"]
    assert found(store, "d15/an", folder="loras", limit=1) == ["loras/sd15/anime.pt"]


def test_a_subfolder_without_files_finds_nothing_and_hides_nothing(store: Store) -> None:
    gone = tuple(one for one in store.held() if "anime" in one.file)
    store.apply(Diff(vanished=gone), at=AT)
    assert found(store, "15/", limit=1) == ["checkpoints/SD15/dream.safetensors"]
    assert found(store, "d15/anime") == []
