from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.cli.model.conftest import Library


def test_the_index_is_told_in_figures(ask: Call, library: Library) -> None:
    code, out, _ = ask("status")
    assert code == 0
    assert out.startswith("17 files, ")
    assert "16 verified, 0 to read (0 B), 1 odd" in out
    assert str(library.nas) in out
    assert "no agent runs here: 'model-manager model index sync' brings it up to date" in out


def test_json_holds_the_same(pieces: Callable[..., Any], library: Library) -> None:
    found = pieces("status")
    assert (found["files"], found["read"], found["unread"], found["agent"]) == (17, 17, 0, False)
    assert [each["path"] for each in found["directories"]] == [str(library.nas), str(library.solo)]


def test_an_agent_is_noticed(own: Path, tmp_path: Path, call: Call) -> None:
    with gate_at(tmp_path / "control.sock"):
        assert "an agent runs here" in call("model", "index", "status")[1]
