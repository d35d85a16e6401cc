from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from model_manager.cli.choosing import Choice
from model_manager.cli.top import Told, picture
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


MACHINE = {
    "state": "live", "phase": "ready", "ready": True, "models": 1, "required": 1, "present": 1, "workflows": 1,
    "workflows_ready": 1, "downloads": 0, "free": None, "last_seen": None, "version": "", "reasons": [], "unsure": "",
    "speed": 0.0, "eta": None, "host": "",
}  # fmt: skip
FLEET = {
    "exact": True, "redis": {"away": None, "age": 0, "lag_entries": 0, "lag_seconds": 0},
    "machines": {"live": 30, "stale": 0, "away": 0, "ready": 30, "unsure": 0},
    "models": {"distinct": 1, "bytes": 1}, "workflows": {"assigned": 1, "ready": 1},
    "downloads": {"running": 0, "speed": 0.0},
}  # fmt: skip


def drawn(choice: Choice, width: int, height: int, count: int = 30) -> list[str]:
    machines = [MACHINE | {"machine_id": f"m{number:02}"} for number in range(count)]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(picture(Told(FLEET, machines), choice, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
def test_a_low_terminal_shows_a_part_and_says_of_how_many(width: int) -> None:
    lines = drawn(Choice(), width, 15)
    assert len(lines) < 15
    assert all(len(line) <= width for line in lines)
    assert lines[-1].startswith("1-10 of 30")


def test_a_part_that_is_scrolled_to_leaves_no_line_empty() -> None:
    assert drawn(Choice(first=8), 80, 15)[2].startswith("m08")
    lines = drawn(Choice(first=500), 80, 15)
    assert (lines[2].split()[0], lines[-2].split()[0]) == ("m20", "m29")
    assert lines[-1].startswith("21-30 of 30")


def test_what_is_filtered_says_so_also_when_nothing_is_left() -> None:
    assert drawn(Choice(text="m07"), 80, 15)[-1].startswith("1-1 of 1 with 'm07' (Esc shows all)")
    assert drawn(Choice(text="nobody"), 80, 15)[-1].startswith("none with 'nobody'")
    assert drawn(Choice(text="m\x1b", typing=True), 80, 15)[-1].startswith("/m\\x1b_")


def test_keys_order_filter_and_leave_and_the_terminal_is_as_before(fleetful: Fleetful, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "20", "MODEL_MANAGER_STATE_DIR": str(tmp_path)}
    code = f"from model_manager.cli.main import main; main(['top', '--every', '60', '--url', '{fleetful.url}'])"
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        for told, key in (("by need", b"s"), ("by machine", b"/m2"), ("/m2_", b"\r"), ("1-1 of 1", b"q")):
            read_until(ours, told)
            os.write(ours, key)
        assert process.wait(30) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)


def read_until(terminal: int, text: str) -> None:
    seen, deadline = "", time.monotonic() + 30
    while text not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 65_536).decode("utf-8", "replace")
