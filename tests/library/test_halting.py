from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.facts.disk import Root
from model_manager.library import halting
from model_manager.library.halting import Halted, unhalted
from model_manager.library.scanning import scan


def test_a_look_is_ended_within_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halting, "PIECE", 2)
    asked: list[bool] = []

    def halt() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    seen = unhalted([1, 2, 3, 4, 5, 6], halt)
    assert [next(seen), next(seen)] == [[1, 2], [3, 4]]
    with pytest.raises(Halted):
        next(seen)


def test_a_scan_that_is_ended_within_a_directory_keeps_what_it_met_and_calls_nothing_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halting, "PIECE", 10)
    (tmp_path / "loras").mkdir()
    for n in range(100):
        (tmp_path / "loras" / f"{n}.safetensors").touch()
    root = Root(path=os.fspath(tmp_path))
    left = 6

    def halt() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    part = scan(root, halt=halt)
    assert (part.halted, 0 < len(part.found) < 100, part.gone) == (True, True, ())
    whole = scan(root)
    assert (whole.halted, len(whole.found)) == (False, 100)
