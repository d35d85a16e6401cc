from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_manager.errors import DiskUnavailable
from model_manager.library.contents import readers
from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.cli.model.conftest import Library, put
from tests.stories.machine import safetensors


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


def test_what_was_left_out_is_named_with_the_reason(own: Path, call: Call) -> None:
    put(own / "lonely.safetensors", safetensors(500))
    (own / "vae" / "away").symlink_to(own / "unmounted")
    out = call("model", "index", "sync")[1]
    assert "1 error" in out
    code, out, _ = call("model", "index", "status")
    assert code == 0
    assert "1 that cannot be looked at" in out
    assert f"{own}/vae/away: it is a link to nothing" in out
    assert "1 with a model's name left out" in out
    assert f"{own}/lonely.safetensors: it is in no folder" in out
    found = json.loads(call("model", "index", "status", "--json")[1])
    assert [each["unreadable"] for each in found["directories"]] == [1]


def test_files_that_could_not_be_read_are_counted_and_shown(own: Path, call: Call, monkeypatch) -> None:
    def failing(file: str, *_: object, **__: object):
        raise DiskUnavailable(doing="read", path=file, why="Permission denied")

    monkeypatch.setattr(readers, "digest_file", failing)
    assert "3 errors" in call("model", "index", "sync")[1]
    assert "3 could not be read whole" in call("model", "index", "status")[1]
    assert "could not be read: " in call("model", "index", "show", "a.safetensors")[1]
    assert "unreadable" in call("model", "index", "list")[1]
