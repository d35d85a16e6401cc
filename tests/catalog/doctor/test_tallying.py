from __future__ import annotations

import pytest

from model_manager.catalog.doctor import tallying as module
from model_manager.catalog.doctor.diagnosing import Ailment
from model_manager.catalog.doctor.doctoring import Examined
from model_manager.catalog.doctor.tallying import Tallying
from model_manager.catalog.records import CatalogModel, Stored


def examined(name: str, *ailments: Ailment, mendable: bool = False) -> Examined:
    stored = Stored(id=name, name=name, revision=1, doc="{}")
    return Examined(
        kind="model", stored=stored, ailments=ailments, mended=CatalogModel(id=name, name=name) if mendable else None
    )


def test_what_was_mended_is_told_of_those_findings_only_that_had_a_fix() -> None:
    tallying = Tallying()
    tallying.looked(24)
    ailments = Ailment(kind="size", name="a", what="off", fix="the size 5"), Ailment(kind="case", name="a", what="twin")
    tallying.add(examined("a", *ailments, mendable=True), mended=True)
    tally = tallying.tally()
    assert (tally.examined, tally.wrong, tally.mendable, tally.mended) == (24, 1, 1, 1)
    assert tally.kinds == {"size": 1, "case": 1}
    assert [(each.kind, each.mended) for each in tally.noted] == [("size", True), ("case", False)]


def test_what_is_kept_already_is_not_told_again_and_what_came_meanwhile_is() -> None:
    tallying = Tallying()
    tallying.add(examined("a", Ailment(kind="gone", name="a", what="x")), mended=False)
    first = tallying.tally()
    tallying.add(examined("b", Ailment(kind="gone", name="b", what="x")), mended=False)
    tallying.note(first)
    assert (tallying.kept, [each.id for each in tallying.tally().noted]) == (1, ["b"])


def test_findings_beyond_the_bound_are_counted_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    tallying = Tallying()
    for n in range(5):
        tallying.add(examined(str(n), Ailment(kind="gone", name="a", what="x")), mended=False)
        if n == 1:
            tallying.note(tallying.tally())
    tally = tallying.tally()
    assert (tallying.kept + len(tally.noted), tally.kinds) == (3, {"gone": 5})
