from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call


@pytest.fixture
def linked(own: Path, tmp_path: Path, call: Call) -> tuple[Path, Path, Path]:
    """Both names of what were two copies, and the undo log."""
    call("model", "index", "sync")
    assert call("model", "index", "duplicates", "--replace", "hardlink", "--yes")[0] == 0
    (log,) = (tmp_path / "undo").glob("*.jsonl")
    return own / "loras" / "a.safetensors", own / "loras" / "b.safetensors", log


def undo(call: Call, *arguments: str) -> tuple[int, str, str]:
    return call("model", "index", "duplicates", "--undo", *arguments)


def test_the_newest_log_is_taken_and_not_taken_twice(linked: tuple[Path, Path, Path], call: Call) -> None:
    code, out, err = undo(call)
    assert code == 0
    assert "1 file separate again" in out
    assert "model index sync" in err
    assert not linked[2].exists()
    assert linked[2].with_name(linked[2].name + ".undone").exists()
    assert undo(call)[0] == 65


def test_a_log_may_be_named(linked: tuple[Path, Path, Path], tmp_path: Path, call: Call) -> None:
    moved = linked[2].rename(tmp_path / "kept.jsonl")
    said = json.loads(undo(call, str(moved), "--json")[1])
    assert [each["file"] for each in said["undone"]] == [str(linked[1])]
    assert (said["failed"], said["stopped"], said["log"]) == ([], False, f"{moved}.undone")


def test_a_file_that_somebody_replaced_meanwhile_is_left_alone(linked: tuple[Path, Path, Path], call: Call) -> None:
    linked[1].unlink()
    linked[1].write_bytes(b"mine")
    code, out, _ = undo(call)
    assert code == 0
    assert f"left: {linked[1]}: " in out
    assert linked[1].read_bytes() == b"mine"


def test_a_failure_keeps_the_log_for_another_time(
    linked: tuple[Path, Path, Path], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("model_manager.library.duplicates.undoing.same_bytes", lambda *_, **__: False)
        broken.setattr("model_manager.library.duplicates.undoing.fcntl.ioctl", _unable)
        code, out, err = undo(call)
    assert code == 75
    assert "failed: " in out
    assert "undo again" in err
    assert os.path.samefile(linked[0], linked[1])
    assert undo(call)[0] == 0
    assert not os.path.samefile(linked[0], linked[1])


def _unable(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def test_what_is_no_log_is_refused(linked: tuple[Path, Path, Path], tmp_path: Path, call: Call) -> None:
    code, _, err = undo(call, str(tmp_path / "nowhere.jsonl"))
    assert code == 65
    assert str(tmp_path / "undo") in err


@pytest.mark.parametrize("name", ["passwd", "captions.jsonl"])
def test_a_file_that_is_no_log_keeps_its_name(name: str, own: Path, tmp_path: Path, call: Call) -> None:
    file = tmp_path / name
    file.write_bytes(b'{"caption": "a cat"}\nroot:x:0:0\n')
    code, _, err = undo(call, str(file))
    assert code == 65
    assert f"{file} is no undo log" in err
    assert file.read_bytes() == b'{"caption": "a cat"}\nroot:x:0:0\n'


def test_a_log_whose_directory_is_away_waits_for_it(linked: tuple[Path, Path, Path], own: Path, call: Call) -> None:
    away = own.rename(own.with_name("away"))
    code, out, err = undo(call)
    assert (code, linked[2].exists()) == (75, True)
    assert "mount or restore it" in out
    assert "undo again" in err
    away.rename(own)
    assert undo(call)[0] == 0
    assert not os.path.samefile(linked[0], linked[1])


def test_a_log_that_was_undone_and_is_named_again_keeps_its_name(linked: tuple[Path, Path, Path], call: Call) -> None:
    undo(call)
    undone = linked[2].with_name(linked[2].name + ".undone")
    assert undo(call, str(undone))[0] == 0
    assert undone.exists()
