from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.cli.model.conftest import put
from tests.stories.machine import safetensors

Figures = Callable[..., dict[str, Any]]


@pytest.fixture
def figures(own: Path, call: Call) -> Figures:
    def syncing(*arguments: str) -> dict[str, Any]:
        code, out, _ = call("model", "index", "sync", "--json", *arguments)
        assert code == 0
        found: dict[str, Any] = json.loads(out)
        return found

    return syncing


def test_the_statistics_are_those_of_stablequeue_and_ours(own: Path, figures: Figures) -> None:
    first = figures()
    assert list(first) == [
        "total", "added", "updated", "hashesCalculated", "hashesSkipped", "errors", "removed", "described", "seconds",
    ]  # fmt: skip
    assert (first["total"], first["hashesCalculated"], first["hashesSkipped"], first["errors"]) == (3, 3, 0, 0)


def test_nothing_is_read_twice(own: Path, figures: Figures) -> None:
    figures()
    again = figures()
    assert (again["added"], again["updated"], again["hashesCalculated"], again["described"]) == (0, 0, 0, 0)


def test_what_came_changed_and_went_is_counted(own: Path, figures: Figures) -> None:
    figures()
    put(own / "vae" / "new.safetensors", safetensors(700, 7))
    put(own / "vae" / "c.safetensors", safetensors(3001, 3), 1_700_000_777)
    (own / "loras" / "b.safetensors").unlink()
    seen = figures()
    assert (seen["total"], seen["added"], seen["updated"], seen["removed"], seen["hashesCalculated"]) == (3, 1, 1, 1, 2)


def test_names_can_be_had_without_reading(own: Path, figures: Figures) -> None:
    assert (figures("--no-read")["hashesCalculated"], figures("--no-read")["hashesSkipped"]) == (0, 3)


def test_a_person_is_told_in_words(own: Path, call: Call) -> None:
    code, out, _ = call("model", "index", "sync")
    assert code == 0
    assert out.splitlines()[0] == "3 model files: 0 added, 0 updated, 0 removed, 3 described"
    assert out.splitlines()[1].startswith("3 hashed, 0 still to be, 0 errors, ")


def test_h4_a_directory_that_is_away_is_an_error_and_no_removal(own: Path, figures: Figures, call: Call) -> None:
    figures()
    own.rename(own.with_name("away"))
    seen = figures()
    assert (seen["total"], seen["removed"], seen["errors"]) == (3, 0, 1)
    assert "is away" in call("model", "dir", "list")[1]


def test_an_agent_is_asked_and_waited_for(own: Path, tmp_path: Path, call: Call) -> None:
    status = {
        "scan": {"started": "t1", "finished": "t1"},
        "inventory": {"unhashed": 3, "hashing": ""},
        "lost_roots": {},
    }
    with gate_at(tmp_path / "control.sock") as gate:
        gate.answers["/scan"] = (200, {"accepted": True})
        later = status | {"scan": {"started": "t2", "finished": "t3"}}
        gate.answers["/status"] = (200, status)
        asked = gate.asked
        gate.asked = Telling(asked, "/scan", lambda: gate.answers.update({"/status": (200, later)}))
        code, out, _ = call("model", "index", "sync", "--no-read", "--json")
        assert code == 0
        assert gate.bodies == [{}]
    seen = json.loads(out)
    assert (seen["total"], seen["added"], seen["hashesSkipped"], seen["described"]) == (3, 0, 3, None)


class Telling(list[str]):
    """A list that calls when something certain is appended to it."""

    def __init__(self, before: list[str], what: str, then: Callable[[], object]) -> None:
        super().__init__(before)
        self._what, self._then = what, then

    def append(self, text: str) -> None:
        super().append(text)
        if text == self._what:
            self._then()


def test_an_agent_asks_civitai_only_as_its_own_settings_say(own: Path, tmp_path: Path, call: Call) -> None:
    with gate_at(tmp_path / "control.sock") as gate:
        code, _, err = call("model", "index", "sync", "--online")
        assert (code, gate.bodies) == (65, [])
    assert "MODEL_MANAGER_METADATA=civitai" in err


def test_d8_ctrl_c_keeps_what_was_learnt(own: Path, tmp_path: Path, call: Call) -> None:
    for number in range(3):
        with put(own / "checkpoints" / f"{number}.safetensors", b"").open("wb") as file:
            file.truncate(2_000_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", "from model_manager.cli.main import main; main()", "model", "index", "sync"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "MODEL_MANAGER_READERS": "1"},
    )  # fmt: skip
    try:
        wait_for(lambda: _read(call) >= 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert "everything learnt so far is kept" in err
    assert _read(call) >= 3


def _read(call: Call) -> int:
    found: int = json.loads(call("model", "index", "status", "--json")[1])["read"]
    return found


def wait_for(condition: Callable[[], bool], patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_directory_is_looked_through_and_read_alone(
    own: Path, figures: Figures, call: Call, tmp_path: Path
) -> None:
    figures("--no-read")
    other = tmp_path / "other"
    put(other / "vae" / "x.safetensors", safetensors(800, 8))
    assert call("model", "dir", "add", str(other))[0] == 0
    put(other / "vae" / "y.safetensors", safetensors(900, 9))
    put(own / "vae" / "z.safetensors", safetensors(950, 10))
    number = next(
        each["number"] for each in json.loads(call("model", "dir", "list", "--json")[1]) if each["path"] == str(other)
    )
    seen = figures(str(number))
    assert (seen["total"], seen["added"], seen["hashesCalculated"], seen["hashesSkipped"]) == (2, 1, 2, 0)
    assert (figures(str(other))["total"], _read(call)) == (2, 2)
    assert (figures()["added"], _read(call)) == (1, 6)


def test_an_agent_is_waited_for_until_the_directory_that_is_meant_is_read(
    own: Path, tmp_path: Path, call: Call
) -> None:
    assert call("model", "index", "sync", "--no-read")[0] == 0
    status = {
        "scan": {"started": "t1", "finished": "t1"},
        "inventory": {"unhashed": 7, "hashing": ""},
        "lost_roots": {"/elsewhere": "away"},
    }
    with gate_at(tmp_path / "control.sock") as gate:
        gate.answers["/scan"] = (200, {"accepted": True})
        later = status | {"scan": {"started": "t2", "finished": "t3"}}
        gate.answers["/status"] = (200, status)
        gate.asked = Telling(gate.asked, "/scan", lambda: gate.answers.update({"/status": (200, later)}))
        code, out, _ = call("model", "index", "sync", str(own), "--no-read", "--json")
    seen = json.loads(out)
    assert (code, seen["total"], seen["hashesSkipped"], seen["errors"]) == (0, 3, 3, 0)


def test_what_is_no_tracked_directory_is_refused_before_anything_is_looked_at(
    own: Path, figures: Figures, call: Call
) -> None:
    figures("--no-read")
    for text, why in (("9", "there is no directory number 9"), (str(own / "vae"), "is not a tracked directory")):
        code, _, err = call("model", "index", "sync", text)
        assert (code, why in err, "model dir list" in err) == (65, True, True)
