from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path

import pytest

from model_manager.errors import NoSpace
from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.cli.model.conftest import put
from tests.stories.machine import safetensors

Pair = tuple[Path, Path]


@pytest.fixture
def pair(own: Path, call: Call) -> Pair:
    """Two files of the same bytes, read."""
    assert call("model", "index", "sync")[0] == 0
    return own / "loras" / "a.safetensors", own / "loras" / "b.safetensors"


def command(call: Call, *arguments: str) -> tuple[int, str, str]:
    return call("model", "index", "duplicates", *arguments)


def test_without_yes_nothing_is_changed(pair: Pair, call: Call) -> None:
    for arguments in ((), ("--replace", "hardlink"), ("--json",), ("--replace", "auto", "--json")):
        assert command(call, *arguments)[0] == 0
        assert not os.path.samefile(*pair)


def test_a_dry_run_says_what_stays_what_goes_and_how_much_it_frees(pair: Pair, call: Call) -> None:
    _, out, err = command(call, "--replace", "hardlink")
    assert f"{pair[0]}  5.00 kB, stays: it is the oldest" in out
    assert f"  {pair[1]}  → hard link" in out
    assert "1 model more than once; 5.00 kB could be freed" in out
    assert "nothing was changed" in err


def test_json_says_the_same(pair: Pair, call: Call) -> None:
    found = json.loads(command(call, "--replace", "hardlink", "--json")[1])
    assert found["reclaimable"] == 5000
    (one,) = found["duplicates"]
    assert (one["kept"], one["redundant"][0]["files"], one["redundant"][0]["how"]) == (
        str(pair[0]),
        [str(pair[1])],
        "hard link",
    )


def test_with_yes_it_is_done_and_can_be_undone(pair: Pair, tmp_path: Path, call: Call) -> None:
    code, out, _ = command(call, "--replace", "hardlink", "--yes")
    assert code == 0
    assert os.path.samefile(*pair)
    (log,) = (tmp_path / "undo").glob("*.jsonl")
    assert f"duplicates --undo {log}" in out
    assert "nothing lies on the disk twice" in command(call)[2]
    code, out, _ = command(call, "--undo")
    assert code == 0
    assert f"undone: {pair[1]}" in out
    assert not os.path.samefile(*pair)
    assert pair[1].read_bytes() == safetensors(5000, 1)


def test_the_index_knows_it_at_once_and_reads_nothing_again(pair: Pair, call: Call) -> None:
    command(call, "--replace", "hardlink", "--yes")
    seen = json.loads(call("model", "index", "status", "--json")[1])
    assert (seen["files"], seen["unread"], seen["verified"]) == (3, 0, 3)


def test_yes_needs_to_know_how(pair: Pair, call: Call) -> None:
    assert command(call, "--yes")[0] == 2
    assert not os.path.samefile(*pair)


def test_undoing_and_replacing_do_not_go_together(pair: Pair, call: Call) -> None:
    assert command(call, "--undo", "--yes")[0] == 2


def test_what_nobody_read_is_no_duplicate_and_is_said(own: Path, call: Call) -> None:
    _, out, err = command(call)
    assert out == ""
    assert "3 files still to read" in err
    code, out, _ = command(call, "--replace", "auto", "--yes", "--json")
    assert (code, json.loads(out)["replaced"]) == (0, [])


def test_a_copy_that_changed_since_stays_and_is_said(pair: Pair, tmp_path: Path, call: Call) -> None:
    put(pair[1], safetensors(5000, 2))
    code, out, err = command(call, "--replace", "hardlink", "--yes")
    assert code == 75
    assert "0 files replaced, 0 B freed" in out
    assert str(pair[1]) in err
    assert pair[1].read_bytes() == safetensors(5000, 2)
    assert "Traceback" not in err


def test_an_agent_is_told_to_look(pair: Pair, tmp_path: Path, call: Call) -> None:
    with gate_at(tmp_path / "control.sock") as gate:
        gate.answers["/scan"] = (200, {"accepted": True})
        code, out, _ = command(call, "--replace", "hardlink", "--yes", "--json")
    assert (code, "/scan" in gate.asked) == (0, True)
    assert [each["file"] for each in json.loads(out)["replaced"]] == [str(pair[1])]
    assert os.path.samefile(*pair)


def test_k12_names_that_play_with_the_terminal_are_shown_harmless(own: Path, call: Call) -> None:
    put(own / "loras" / "c\x1b[2J.safetensors", safetensors(5000, 1), 1_700_000_500)
    call("model", "index", "sync")
    out = command(call)[1]
    assert "\x1b" not in out
    assert r"c\x1b[2J.safetensors" in out


def test_c1_without_room_for_the_undo_log_nothing_is_touched_and_it_is_said_once(
    pair: Pair, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = put(pair[0].with_name("third.safetensors"), safetensors(5000, 1), 1_700_000_500)
    call("model", "index", "sync")
    with monkeypatch.context() as full:
        full.setattr("model_manager.library.duplicates.undoing.write_all", _full)
        code, out, err = command(call, "--replace", "hardlink", "--yes")
    assert code == 75
    assert out.startswith("0 files replaced, 0 B freed")
    assert "undo it with" not in out
    assert (err.count("bytes free"), "(2 files)" in err) == (1, True)
    assert len({path.stat().st_ino for path in (*pair, third)}) == 3


FREE = count(4096)


def _full(*_: object) -> None:
    raise NoSpace(root="/r", free=next(FREE), name="undo.jsonl", need="more", floor=0)
