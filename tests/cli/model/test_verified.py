from __future__ import annotations

from dataclasses import replace

from model_manager.cli.model.verified import judged
from tests.index.making import held

FILES = {
    name: replace(held(name, content=name, evidence="content"), verified_at="2026-01-01T00:00:00Z")
    for name in ("a", "b", "c", "d")
}
LATER = "2026-02-02T00:00:00Z"


def test_a_file_that_was_not_read_is_never_called_sound() -> None:
    before = FILES | {"e": replace(FILES["a"], evidence=None, verified_at="")}
    rotten = replace(before["b"], evidence=None, verified_at="")
    after = before | {"a": replace(before["a"], verified_at=LATER), "b": rotten}
    del after["d"]
    found = judged(list(before), before, after, [replace(rotten, file="b")], 1.5)
    assert (found.sound, found.rotten, found.unread) == (("a", "e"), ("b",), ("c", "d"))
    assert found.shape() == {"files": 5, "sound": 2, "rotten": ["b"], "unread": ["c", "d"], "seconds": 1.5}


def test_an_odd_file_that_cannot_be_looked_at_is_not_called_sound() -> None:
    before = {"e": replace(FILES["a"], evidence=None, verified_at="")}
    assert judged(["e"], before, before, [], 1.5, {"e"}).unread == ("e",)
