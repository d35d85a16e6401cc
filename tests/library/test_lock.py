from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.errors import AlreadyRunning, DiskUnavailable
from model_manager.library.lock import hold

HOLDER = (
    "import sys\n"
    "from model_manager.library.lock import hold\n"
    "with hold(sys.argv[1], 'the state directory'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_i1_a_second_holder_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    child = holder(tmp_path / "lock")
    try:
        with pytest.raises(AlreadyRunning) as caught, hold(str(tmp_path / "lock"), "the state directory"):
            pytest.fail("both hold it")
        assert f"process {child.pid}" in str(caught.value)
    finally:
        child.kill()
        child.wait()


def test_i1_a_killed_holder_leaves_the_lock_free_though_its_child_lives(tmp_path: Path) -> None:
    program = HOLDER.replace(
        "    print('held'", "    import subprocess; subprocess.Popen(['sleep', '20'])\n    print('held'"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    grandchildren = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    child.kill()
    child.wait()
    try:
        with hold(str(tmp_path / "lock"), "the state directory"):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    finally:
        for pid in grandchildren:
            os.kill(int(pid), 9)


def test_the_lock_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(str(tmp_path / "lock"), "x"):
            assert (tmp_path / "lock").exists()


def test_d9_a_stale_lock_file_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4194304\n and more")
    with hold(str(tmp_path / "lock"), "x"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable, match="No such file"), hold(str(tmp_path / "no" / "lock"), "x"):
        pytest.fail("held nothing")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskUnavailable), hold(str(tmp_path / "lock"), "x"):
        pytest.fail("held a link")
    assert not (tmp_path / "elsewhere").exists()
