from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.facts.disk import Diff
from model_manager.index import naming, paths
from model_manager.index.finding import spelling
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
def test_of_a_part_that_many_names_have_those_that_came_first_are_found_by_name(
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


def test_a_part_of_a_name_is_looked_for_in_one_folder_and_below_one_of_its_subfolders(store: Store) -> None:
    others = [("loras", "shaper.pt"), ("loras", "a/shaper.pt"), ("loras", "a/b/shapers.pt"), ("loras", "ab/shaper.pt")]
    files = tuple(held(name, folder=folder, inode=50 + at) for at, (folder, name) in enumerate(others))
    store.apply(Diff(appeared=files), at=AT)
    with Shop.open(store.path) as shop:
        assert [one.name for one in shop.find("haper", folder="loras")] == [
            "shaper.pt", "a/shaper.pt", "ab/shaper.pt", "a/b/shapers.pt",
        ]  # fmt: skip
        assert [one.name for one in shop.find("haper", folder="loras/a")] == ["a/shaper.pt", "a/b/shapers.pt"]
        assert [one.name for one in shop.find("haper", folder="vae")] == []


WORDS = ("a", "b.pt", "ab", "É", "sd", "%", "_")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slots=st.sets(st.lists(st.sampled_from(WORDS), min_size=2, max_size=4).map("/".join), max_size=12),
    text=st.text("ab/é.%sd", min_size=1, max_size=5),
    folder=st.sampled_from((None, "a", "sd", "a/b.pt", "sd/a")),
    row=st.sampled_from((1, 20, 16_384)),
    few=st.sampled_from((0, 200)),
    many=st.sampled_from((1, 500)),
)
def test_every_part_of_every_path_finds_exactly_what_asking_each_path_would(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slots: set[str],
    text: str,
    folder: str | None,
    row: int,
    few: int,
    many: int,
) -> None:
    for module, name, value in ((naming, "ROW", row), (paths, "ROW", row), (paths, "FEW", few), (paths, "MANY", many)):
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "parts.sqlite"
    path.unlink(missing_ok=True)
    store = begun(path)
    files = [slot.partition("/") for slot in sorted(slots)]
    for at, (first, _, name) in enumerate(files):
        store.apply(Diff(appeared=(held(name, folder=first, inode=at + 9),)), at=AT)
    wanted = spelling(text)
    category, _, above = (folder or "").partition("/")
    with Shop.open(path) as shop:
        of_name = _slots(shop, naming.containing(shop._db, wanted, category, above and above + "/", 99))
        of_path = _slots(shop, paths.containing(shop._db, wanted, category, above and above + "/", 99))
    store.close()
    there = [spelling(slot) for slot in slots if not folder or spelling(slot).startswith(folder + "/")]
    assert sorted(of_name) == sorted(slot for slot in there if wanted in slot.rpartition("/")[2])
    whole = [(slot, slot.partition("/")[2] if category or "/" not in text else slot) for slot in there]
    beyond = sorted(slot for slot, part in whole if _at_a_folder(part, wanted))
    assert (of_path if few and many > 1 else sorted(of_path)) == beyond


def _at_a_folder(path: str, text: str) -> bool:
    """Whether a text occurs in a path, not in the name alone."""
    return text in path and 0 <= path.find(text) <= path.rfind("/")


def _slots(shop: Shop, ids: list[int]) -> list[str]:
    asked = (shop._db.connection.execute("SELECT category, slot FROM location WHERE id = ?", (one,)) for one in ids)
    return ["/".join(row.fetchone()) for row in asked]
