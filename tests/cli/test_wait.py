from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.gate import Gate, gate_at
from tests.cli.making import progress, transfer

WAIT = (sys.executable, "-c", "from model_manager.cli.wait import command; command()")
PATIENCE = 30


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


@pytest.fixture
def gate(state: Path) -> Iterator[Gate]:
    with gate_at(state / "control.sock") as gate:
        yield gate


def start(state: Path, *arguments: str, **more: object) -> subprocess.Popen[str]:
    command = [*WAIT, "--state-dir", str(state), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload, no-any-return]


def run(state: Path, *arguments: str) -> tuple[int, str, str]:
    return finish(start(state, *arguments))


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def said(process: subprocess.Popen[str], what: str) -> str:
    """The next line of standard error that contains `what`."""
    assert process.stderr is not None
    for line in process.stderr:
        if what in line:
            return line
    raise AssertionError(f"it ended with {process.wait()} and never said {what!r}")


def test_an_open_gate_lets_through(state: Path, gate: Gate) -> None:
    gate.open()
    assert run(state) == (0, "", "")


def test_the_command_takes_the_place_of_the_waiting(state: Path, gate: Gate) -> None:
    gate.open()
    process = start(state, "--", "sh", "-c", "echo $$ $1; exit 7", "sh", "--listen")
    assert finish(process) == (7, f"{process.pid} --listen\n", "")


def test_the_command_needs_no_dashes_before_it(state: Path, gate: Gate) -> None:
    gate.open()
    assert run(state, "printf", "%s", "--timeout")[:2] == (0, "--timeout")


def test_the_command_gets_signals_as_any_program_does(state: Path, gate: Gate) -> None:
    """Whoever started the tests (nohup, a script's background) may have had some ignored; nothing is added to these."""
    gate.open()
    _, out, _ = run(state, "--", "grep", "Sig[IB]", "/proc/self/status")
    ignored, blocked = (int(line.split()[1], 16) for line in sorted(out.splitlines(), reverse=True))
    inherited = {each for each in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(each) is signal.SIG_IGN}
    assert (ignored, blocked) == (sum(1 << each - 1 for each in inherited), 0)


def test_it_says_why_it_waits_when_the_reasons_change(state: Path, gate: Gate) -> None:
    process = start(state)
    assert "a.safetensors is missing" in said(process, "waiting")
    gate.closed("b.safetensors 40 %", "c", "d", "e\x1b[31m\n")
    assert said(process, "waiting").endswith("b.safetensors 40 %; c; d; and 1 more\n")
    gate.closed("e\x1b[31m\nx")
    assert said(process, "waiting").endswith("e\\x1b[31m\\nx\n")
    gate.open()
    assert finish(process) == (0, "", "")


def test_an_unchanged_reason_is_said_once(state: Path, gate: Gate) -> None:
    _, _, err = run(state, "--timeout", "1")
    assert len(gate.asked) > 2
    assert err.count("waiting:") == 1


def test_timing_out_is_75_with_the_last_reasons(state: Path, gate: Gate) -> None:
    code, _, err = run(state, "--timeout", "0.2", "--", "echo", "started")
    assert code == 75
    assert "not ready after 0.2 s: checkpoints/a.safetensors is missing" in err.splitlines()[-1]


def test_one_workflow_is_waited_for_alone(state: Path, gate: Gate) -> None:
    gate.answers["/ready/a%2Fb%20c"] = (200, {"ready": True, "reasons": []})
    assert run(state, "--workflow", "a/b c")[0] == 0


def test_a_workflow_that_is_not_assigned_is_a_configuration_error(state: Path, gate: Gate) -> None:
    code, _, err = run(state, "--workflow", "none", "--grace", "0")
    assert code == 78
    assert "'none' is not assigned" in err


def test_a_missing_state_directory_is_a_configuration_error(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none", "--grace", "0")
    assert code == 78
    assert f"{tmp_path / 'none'} does not exist" in err


def test_a_state_directory_that_the_agent_is_about_to_make_is_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path / "late", "--grace", str(PATIENCE))
    said(process, "does not exist")
    (tmp_path / "late").mkdir()
    with gate_at(tmp_path / "late" / "control.sock") as gate:
        gate.open()
        assert finish(process)[0] == 0


def test_a_workflow_that_is_assigned_in_time_is_no_error(state: Path, gate: Gate) -> None:
    process = start(state, "--workflow", "late", "--grace", str(PATIENCE))
    said(process, "not assigned")
    gate.answers["/ready/late"] = (503, {"ready": False, "reasons": ["downloading"]})
    said(process, "downloading")
    gate.answers["/ready/late"] = (200, {"ready": True, "reasons": []})
    assert finish(process)[0] == 0


def test_j6_it_outlives_an_agent_that_comes_goes_and_comes_back(state: Path) -> None:
    process = start(state, "--", "echo", "started")
    assert "model-manager run" in said(process, "no such socket")
    with gate_at(state / "control.sock"):
        said(process, "is missing")
    said(process, "no such socket")
    with gate_at(state / "control.sock") as gate:
        gate.open()
        assert finish(process)[:2] == (0, "started\n")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"ready": False, "reasons": ["half open"]}),
        (503, {"ready": True, "reasons": []}),
        (200, {"ready": "true"}),
        (200, {}),
        (500, {"error": "broken"}),
        (404, {"error": "not here"}),
        (200, b"ready"),
    ],
)
def test_j6_half_an_answer_opens_no_gate(state: Path, gate: Gate, answer: tuple[int, object]) -> None:
    gate.answers["/ready"] = answer
    assert run(state, "--timeout", "0.2")[0] == 75


def test_j7_it_does_not_start_when_the_gate_closed_again(state: Path, gate: Gate) -> None:
    gate.open()
    assert run(state)[0] == 0
    gate.closed("vae/v.safetensors vanished")
    code, out, err = run(state, "--timeout", "0.2", "--", "echo", "started")
    assert (code, out) == (75, "")
    assert "vanished" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_d8_a_signal_ends_the_waiting(state: Path, gate: Gate, number: signal.Signals, code: int) -> None:
    process = start(state, "--", "echo", "started")
    said(process, "waiting")
    process.send_signal(number)
    assert finish(process)[:2] == (code, "")


def test_j2_it_goes_on_when_nobody_reads_what_it_says(state: Path, gate: Gate) -> None:
    reading, writing = os.pipe()
    marker = state / "started"
    process = subprocess.Popen([*WAIT, "--state-dir", str(state), "--", "touch", str(marker)], stderr=writing)
    os.close(writing)
    os.close(reading)
    gate.was_asked.wait(PATIENCE)
    gate.closed("something else")
    asked = len(gate.asked)
    eventually(lambda: len(gate.asked) > asked + 1)
    gate.open()
    assert process.wait(PATIENCE) == 0
    assert marker.exists()


def test_a_command_that_is_not_there_is_127(state: Path, gate: Gate) -> None:
    gate.open()
    code, _, err = run(state, "--", "/none/such")
    assert code == 127
    assert "/none/such: no such command" in err


def test_a_command_that_cannot_be_executed_is_126(state: Path, gate: Gate) -> None:
    gate.open()
    plain = state / "plain"
    plain.write_text("not a program")
    assert run(state, "--", str(plain))[0] == 126


def test_g3_a_bad_settings_file_is_a_configuration_error(tmp_path: Path) -> None:
    environ = {**os.environ, "MODEL_MANAGER_SETTINGS": str(tmp_path / "none.toml")}
    result = subprocess.run(WAIT, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 78
    assert "MODEL_MANAGER_SETTINGS" in result.stderr


def test_j6_many_wait_at_once(state: Path, gate: Gate) -> None:
    waiting = [start(state) for _ in range(10)]
    for process in waiting:
        said(process, "is missing")
    threading.Timer(0.1, gate.open).start()
    assert [finish(process)[0] for process in waiting] == [0] * 10


MOVING = progress(transfer("a.gguf", bytes=3, total=4), models=2, moving=1, bytes=3, total=4, eta=160)


def test_while_something_moves_it_says_how_far_it_is(state: Path, gate: Gate) -> None:
    gate.answers["/progress"] = (200, MOVING)
    process = start(state)
    assert said(process, "waiting").endswith("waiting: 0 of 2 models, 3 of 4 B, 2 min 40 s left\n")
    gate.closed("other.safetensors fetching")
    gate.answers["/progress"] = (200, progress(transfer("a.gguf", "failed", why="no such file"), models=2, failed=1))
    assert "other.safetensors fetching" in said(process, "waiting")
    gate.open()
    assert finish(process)[0] == 0


def test_each_reason_of_a_retry_is_said_once_while_others_move(state: Path, gate: Gate) -> None:
    stuck = transfer("b\x1b[2J.gguf", "waiting", why="h was silent", retry_at="2020-01-01T00:00:00Z")
    gate.answers["/progress"] = (200, MOVING | {"transfers": [*MOVING["transfers"], stuck]})
    process = start(state)
    assert said(process, "silent").endswith("waiting (again now): vae/b\\x1b[2J.gguf: h was silent\n")
    for reason in ("x", "y", "z"):
        before = len(gate.asked)
        gate.closed(reason)
        eventually(lambda before=before: "/progress" in gate.asked[before:])
    gate.open()
    assert finish(process) == (0, "", "")


def test_j6_half_a_progress_is_none(state: Path, gate: Gate) -> None:
    gate.answers["/progress"] = (200, {"total": {}})
    process = start(state)
    assert "a.safetensors is missing" in said(process, "waiting")
    gate.open()
    assert finish(process)[0] == 0


def in_terminal(state: Path, **environ: str) -> tuple[subprocess.Popen[bytes], int]:
    """`wait` with a terminal of 60 columns for its standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")} | environ
    command = [*WAIT, "--state-dir", str(state), "--", "echo", "started"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ)
    os.close(theirs)
    return process, ours


def test_in_a_terminal_it_shows_bars_and_takes_them_away(state: Path, gate: Gate) -> None:
    gate.answers["/progress"] = (200, MOVING)
    process, terminal = in_terminal(state, TERM="xterm-256color")
    text = b""
    while b"0 of 2 models, 3 of 4 B, 2m40s left" not in text:
        text += os.read(terminal, 65536)
    assert b" 75%" in text
    assert b"waiting:" not in text
    gate.open()
    text = b""
    with contextlib.suppress(OSError):
        while more := os.read(terminal, 65536):
            text += more
    assert process.communicate(timeout=PATIENCE)[0] == b"started\n"
    assert text.rfind(b"\x1b[2K") > text.rfind(b"0 of 2 models")
    assert b"\x1b[?25h" in text
    os.close(terminal)


def test_a_dumb_terminal_gets_lines(state: Path, gate: Gate) -> None:
    gate.answers["/progress"] = (200, MOVING)
    process, terminal = in_terminal(state, TERM="dumb")
    text = b""
    while b"0 of 2 models, 3 of 4 B, 2 min 40 s left" not in text:
        text += os.read(terminal, 65536)
    assert b"\x1b" not in text
    gate.open()
    assert process.communicate(timeout=PATIENCE)[0] == b"started\n"
    os.close(terminal)


def eventually(condition: object, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
