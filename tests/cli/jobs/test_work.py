from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bus.working import DEADLINE, job
from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet

PROGRAM = str(Path(sys.executable).with_name("model-manager"))


def state(fleet: Fleet, id: str = "1") -> str:
    return fleet.ask(lambda claims: claims.job(id)).state


def until(fleet: Fleet, *states: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while state(fleet) not in states:
        assert time.monotonic() < deadline, f"it stays {state(fleet)}"
        time.sleep(0.05)


def script(directory: Path, text: str) -> str:
    file = directory / "command"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def work(call: Call, *command: str) -> int:
    return call("jobs", "work", "--machine", "m1", "--once", "--", *command)[0]


def test_a_command_gets_the_payload_and_says_the_result(fleet: Fleet, call: Call, tmp_path: Path) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt", payload=b"a cat")))
    command = script(
        tmp_path, 'printf "%s %s %s " "$JOB_ID" "$JOB_ATTEMPT" "$JOB_ASKS" >$JOB_RESULT; cat >>$JOB_RESULT'
    )
    assert work(call, command) == 0
    found = fleet.ask(lambda claims: claims.job("1"))
    assert found.state == "done"
    id, attempt, rest = found.result.split(" ", 2)
    assert (id, attempt, rest[-6:]) == ("1", "1", " a cat")
    assert isinstance(json.loads(rest[:-6]), dict)


@pytest.mark.parametrize(("code", "then"), [(65, "dead"), (69, "pending"), (75, "delayed"), (1, "delayed")])
def test_an_exit_code_says_how_it_goes_on(fleet: Fleet, call: Call, tmp_path: Path, code: int, then: str) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt")))
    assert work(call, script(tmp_path, f"exit {code}")) == 0
    assert state(fleet) == then
    assert str(code) in fleet.ask(lambda claims: claims.job("1")).why


@contextmanager
def worker(directory: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [PROGRAM, "jobs", "work", "--machine", "m1", "--lease", "1", "--", *command]
    process = subprocess.Popen(arguments, env=os.environ | {"MODEL_MANAGER_STATE_DIR": str(directory)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def alive(pid: int) -> bool:
    """Whether it runs; one that ended and was not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_d1_a_worker_that_is_stopped_gives_its_job_back_and_leaves_no_child(fleet: Fleet, tmp_path: Path) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt")))
    command = script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
    with worker(tmp_path, command) as process:
        until(fleet, "running")
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    until(fleet, "pending", "delayed")
    deadline = time.monotonic() + DEADLINE
    while alive(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline, "the command's child stays"
        time.sleep(0.05)


def test_a_job_that_is_cancelled_stops_the_command_and_the_worker_goes_on(fleet: Fleet, tmp_path: Path) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt", payload=b"sleep 600")))
    with worker(tmp_path, "sh"):
        until(fleet, "running")
        fleet.ask(lambda claims: claims.cancel("1"))
        fleet.ask(lambda claims: claims.submit(job("2", "a.pt", payload=b"true")))
        deadline = time.monotonic() + DEADLINE
        while state(fleet, "2") != "done":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_command_that_is_none_takes_no_job(fleet: Fleet, call: Call) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt")))
    assert work(call, "/nowhere/command") == 65
    assert state(fleet) == "pending"
