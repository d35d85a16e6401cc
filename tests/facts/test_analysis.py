from __future__ import annotations

from model_manager.facts.analysis import Analysis, Importance, Item, Outcome
from model_manager.facts.manifest import ManifestModel


def item(outcome: Outcome, importance: Importance = "required", size: int | None = 5) -> Item:
    model = ManifestModel(key=outcome, folder="vae", name="a.pt", importance=importance, size=size)
    return Item(model=model, outcome=outcome, why="")


def test_only_downloads_cost_bytes_and_some_have_no_size() -> None:
    found = Analysis(items=(item("here"), item("downloaded"), item("downloaded", size=None), item("linked")))
    assert (found.bytes, found.unsized) == (5, 1)
    assert [each.outcome for each in found.of("here", "linked")] == ["here", "linked"]


def test_what_is_optional_and_unknown_leaves_it_complete() -> None:
    assert Analysis(items=(item("unknown", "optional"), item("here"))).complete
    assert not Analysis(items=(item("unknown"),)).complete
