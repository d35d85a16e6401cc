from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from model_manager.cli.top import picture
from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


def test_in_a_pipe_it_is_shown_once(call: Call, fleetful: Fleetful, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call("top", "--url", fleetful.url)
    assert code == 0
    assert out.startswith("2 live, 0 stale, 0 away · 1 ready · 1 of 1 workflows served · 2 models, 4.50 MB\n")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["machine", "m2", "m1"]
    monkeypatch.setenv("REDIS_URL", fleetful.redis)
    assert call("top")[1].splitlines()[0] == out.splitlines()[0]


def test_in_a_terminal_it_is_drawn_until_interrupted(fleetful: Fleetful, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "20", "MODEL_MANAGER_STATE_DIR": str(tmp_path)}
    command = [
        sys.executable,
        "-c",
        "from model_manager.cli.main import main; main(['top', '--every', '0.2', '--url', '%s'])",
    ]
    command[2] %= fleetful.url
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen, deadline = b"", time.monotonic() + 30
        while seen.count(b"m2") < 2:
            assert time.monotonic() < deadline, seen
            seen += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        try:
            while os.read(ours, 65_536):
                continue
        except OSError:
            assert process.wait(30) in (0, -signal.SIGINT)
    os.close(ours)


async def test_a_low_terminal_says_how_many_are_left_out() -> None:
    machine = {
        "state": "live", "phase": "ready", "ready": True, "models": 1, "required": 1, "present": 1, "workflows": 1,
        "workflows_ready": 1, "downloads": 0, "free": None, "silent": None, "version": "", "reasons": [], "unsure": "",
        "speed": 0.0, "eta": None,
    }  # fmt: skip
    fleet = {
        "exact": True, "redis": {"away": None, "age": 0, "lag_entries": 0, "lag_seconds": 0},
        "machines": {"live": 30, "stale": 0, "away": 0, "ready": 30, "unsure": 0},
        "models": {"distinct": 1, "bytes": 1}, "workflows": {"assigned": 1, "ready": 1},
        "downloads": {"running": 0, "speed": 0.0},
    }  # fmt: skip

    async def ask(name: str, given: object) -> dict[str, object]:
        items = [machine | {"machine_id": f"m{number:02}"} for number in range(30)]
        return fleet if name == "fleet" else {"items": items, "next": None}

    console = Console(width=60, record=True, file=io.StringIO())
    console.print(await picture(ask, 60, 15))
    text = console.export_text()
    assert text.rstrip().endswith("and 20 more")
    assert len(text.splitlines()) <= 15
