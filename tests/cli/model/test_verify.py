from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.cli.model.conftest import put


@pytest.fixture
def read(own: Path, call: Call) -> Path:
    assert call("model", "index", "sync")[0] == 0
    return own


def rot(file: Path) -> None:
    """Other bytes under the same size and time, as a dying disk does it."""
    state = file.stat()
    with file.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"ROT")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_what_is_as_it_was_is_said_to_be(read: Path, call: Call) -> None:
    code, out, _ = call("model", "index", "verify")
    assert code == 0
    assert out.startswith("3 files, all as they were, ")


def test_c12_rot_is_found_named_and_a_code(read: Path, call: Call) -> None:
    rot(read / "vae" / "c.safetensors")
    code, out, _ = call("model", "index", "verify")
    assert code == 74
    assert f"rotten: {read}/vae/c.safetensors" in out
    assert "2 as they were" in out
    assert "vae/c.safetensors" in call("model", "index", "list", "--unverified")[1]


def test_only_what_is_named_is_read(read: Path, call: Call) -> None:
    rot(read / "vae" / "c.safetensors")
    code, out, _ = call("model", "index", "verify", "b.safetensors", "--json")
    assert code == 0
    assert json.loads(out)["files"] == 2
    alone = call("model", "index", "verify", str(read / "loras" / "b.safetensors"), "--json")[1]
    assert json.loads(alone)["files"] == 1


def test_what_changed_meanwhile_is_not_called_sound(read: Path, call: Call) -> None:
    (read / "vae" / "c.safetensors").unlink()
    code, out, _ = call("model", "index", "verify", "--json")
    assert code == 75
    assert json.loads(out)["unread"] == [f"{read}/vae/c.safetensors"]


def test_what_nobody_read_cannot_be_verified(own: Path, call: Call) -> None:
    code, _, err = call("model", "index", "verify", "c.safetensors")
    assert code == 65
    assert "model index sync" in err


def test_a_typo_is_refused_before_anything_is_read(read: Path, call: Call) -> None:
    code, _, err = call("model", "index", "verify", "c.safetensorz", "b.safetensors")
    assert code == 65
    assert "Did you mean" in err


def test_an_agent_is_asked_for_these_files_a_few_at_a_time(read: Path, tmp_path: Path, call: Call, monkeypatch) -> None:
    monkeypatch.setattr("model_manager.cli.model.verify.AT_ONCE", 1)
    with gate_at(tmp_path / "control.sock") as gate:
        gate.answers["/verify"] = (200, {"accepted": True, "files": 2})
        code, out, _ = call("model", "index", "verify", "a.safetensors")
        assert json.loads(call("model", "index", "verify", "--json")[1]) == {"accepted": True, "files": 2}
    assert code == 0
    assert "the agent reads 2 files" in out
    assert gate.bodies == [{"files": [f"{read}/loras/a.safetensors"]}, {"files": [f"{read}/loras/b.safetensors"]}, {}]


def test_how_far_it_is_can_be_seen(read: Path, call: Call, monkeypatch, capsys) -> None:
    monkeypatch.setattr("model_manager.cli.model.gauge.BETWEEN", 0.0)
    monkeypatch.setattr("model_manager.cli.model.verify.SELDOM", 0.0)
    _, _, err = call("model", "index", "verify")
    assert "0 of 3 files read again, 0.0 of 13.0 kB" in err
    assert "3 of 3 files read again, 13.0 of 13.0 kB" in err


def test_c10_of_a_directory_that_is_away_nothing_is_called_sound(own: Path, call: Call) -> None:
    for number in range(25):
        put(own / "vae" / f"{number}.safetensors", b"no model" * (90 + number))
    call("model", "index", "sync")
    own.rename(own.with_name("away"))
    code, out, _ = call("model", "index", "verify")
    assert code == 75
    assert "28 files, 0 as they were" in out
    assert "not read: 8 more files; --json names them" in out
    assert len(json.loads(call("model", "index", "verify", "--json")[1])["unread"]) == 28
