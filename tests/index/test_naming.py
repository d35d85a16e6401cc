from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.facts.disk import Diff, Held
from model_manager.index import naming
from model_manager.index.reading import Shop
from model_manager.index.store import Store

from .making import AT, begun, held

NAMES = ("SD15/Dream_Shaper.safetensors", "Été_50%.gguf", "style/Anime dream.pt", "x.bin")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.sqlite")
    store.apply(Diff(appeared=tuple(held(name, inode=20 + at) for at, name in enumerate(NAMES))), at=AT)
    return store


def found(store: Store, text: str, limit: int = 50) -> list[str]:
    with Shop.open(store.path) as shop:
        return [known.name for known in shop.find(text, limit=limit)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("shaper", NAMES[:1]),
        ("DREAM", (NAMES[0], NAMES[2])),
        ("té_50%", NAMES[1:2]),
        ("t__50", ()),
        (".bin", NAMES[3:]),
        ("dream_shaper.safetensors\0été", ()),
    ],
)
def test_a_part_of_a_name_is_found_as_it_is_spelt_and_never_across_two(
    store: Store, text: str, names: tuple[str, ...]
) -> None:
    assert sorted(found(store, text)) == sorted(names)


def test_what_left_or_got_another_name_is_found_by_what_it_is_called_now(store: Store) -> None:
    before = held(NAMES[0], inode=20)
    store.apply(Diff(vanished=(before,), appeared=(held("SD15/other.safetensors", inode=20),)), at=AT)
    assert found(store, "shape") == []
    assert found(store, "the") == ["SD15/other.safetensors"]


@pytest.mark.parametrize("many", [0, 3, 2000])
def test_rare_and_common_parts_find_the_same_files_in_the_same_order(
    store: Store, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "MANY", many)
    monkeypatch.setattr(naming, "AT_ONCE", 2)
    monkeypatch.setattr(naming, "ROW", 100)
    store.apply(
        Diff(appeared=tuple(held(f"a/b{number:02}_part.gguf", inode=100 + number) for number in range(30))), at=AT
    )
    assert found(store, "_part", limit=7) == [f"a/b{number:02}_part.gguf" for number in range(7)]
    assert len(found(store, "_part")) == 30


def test_names_of_files_that_left_are_let_go_of_at_a_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "SPARE", 5)
    for number in range(30):
        one: tuple[Held, ...] = (held(f"passing_{number}.gguf", inode=500),)
        store.apply(Diff(appeared=one), at=AT)
        store.apply(Diff(vanished=one), at=AT)
    store.close()
    again = begun(Path(store.path))
    names = b"\0".join(some for (some,) in again._db.execute("SELECT some FROM bases"))
    assert b"passing" not in names
    assert found(again, "shaper") == [NAMES[0]]
