from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.facts.disk import Diff, Held
from model_manager.index import shelving
from model_manager.index.reading import Shop

from .making import AT, begun, held

NAME = "SD15/Dream_Shaper.safetensors"


def test_names_of_files_that_left_are_let_go_of_at_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelving, "SPARE", 5)
    store = begun(tmp_path / "index.sqlite")
    store.apply(Diff(appeared=(held(NAME, inode=20),)), at=AT)
    for number in range(30):
        one: tuple[Held, ...] = (held(f"passing/{number}/passing_{number}.gguf", inode=500),)
        store.apply(Diff(appeared=one), at=AT)
        store.apply(Diff(vanished=one), at=AT)
    store.close()
    again = begun(Path(store.path))
    names = b"".join(some for (some,) in again._db.execute("SELECT some FROM names"))
    assert b"passing" not in names
    paths = b"".join(some for (some,) in again._db.execute("SELECT some FROM subfolders"))
    assert b"passing" not in paths
    with Shop.open(again.path) as shop:
        assert [known.name for known in shop.find("shaper")] == [NAME]
        assert [known.name for known in shop.find("15/dream")] == [NAME]
