from __future__ import annotations

from dataclasses import replace

from model_manager.cli.model.verified import judged
from tests.index.making import held


def test_a_file_that_was_not_read_is_never_called_sound() -> None:
    rotten = replace(held("b"), file="b")
    found = judged(["a", "b", "c", "d"], [rotten], {"d": "it left", "c": "Permission denied", "b": "w"}, 1.5)
    assert (found.sound, found.rotten, found.unread) == (("a",), ("b",), {"c": "Permission denied", "d": "it left"})
    assert found.files == 4
    assert found.shape() == {
        "files": 4,
        "sound": 1,
        "rotten": ["b"],
        "unread": ["c", "d"],
        "why": {"c": "Permission denied", "d": "it left"},
        "seconds": 1.5,
    }
