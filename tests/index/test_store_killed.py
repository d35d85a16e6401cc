"""The store against kill -9 and cut power: rows, sums and outbox stand together or not at all."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .making import insist_that_it_is_whole, opened

WRITER = Path(__file__).with_name("writer.py")


def test_d3_d4_killed_at_each_statement_row_and_outbox_stand_together(tmp_path: Path) -> None:
    subprocess.run([sys.executable, WRITER, "--statements", tmp_path], check=True, timeout=60)
    databases = sorted(tmp_path.glob("*.db"), key=lambda file: int(file.stem))
    seqs = []
    for path in databases:
        store = opened(path)
        assert store.rebuilt == ""
        insist_that_it_is_whole(store)
        seqs.append(len(store.outbox(99)))
        store.close()
    assert len(databases) > 8
    assert seqs == [2] * (len(seqs) - 1) + [5]


@pytest.mark.needs("strace")
@pytest.mark.parametrize(("call", "times"), [("pwrite64", (91, 120, 128, 170)), ("fdatasync", (7, 11, 16, 25))])
def test_d3_d4_killed_within_a_commit_row_and_outbox_stand_together(
    tmp_path: Path, call: str, times: tuple[int, ...]
) -> None:
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(_killed_at(call, when, tmp_path / f"{when}.db")) for when in times]
        said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [-signal.SIGKILL] * len(runs)
    kept = [
        _insist_that_it_kept(tmp_path / f"{when}.db", _last(lines)) for when, lines in zip(times, said, strict=True)
    ]
    assert kept[-1] > 0


def _killed_at(call: str, when: int, path: Path) -> subprocess.Popen[bytes]:
    """A writer that the kernel kills as it enters its `when`th call."""
    inject = f"inject={call}:signal=SIGKILL:when={when}"
    command = ["strace", "-f", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
    return subprocess.Popen([*command, sys.executable, WRITER, path, "200"], stdout=subprocess.PIPE)


def test_d3_d4_stopped_at_random_instants_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    chance = random.Random(4)
    with _writing(tmp_path / "index.db", tmp_path / "acknowledged") as writer:
        for n in range(25):
            time.sleep(chance.random() * 0.03)
            with _standing_still(writer):
                for end in ("", "-wal"):
                    shutil.copyfile(tmp_path / f"index.db{end}", tmp_path / f"cut-{n}.db{end}")
                shutil.copyfile(tmp_path / "acknowledged", tmp_path / f"cut-{n}.acknowledged")
    kept = [
        _insist_that_it_kept(tmp_path / f"cut-{n}.db", _last((tmp_path / f"cut-{n}.acknowledged").read_bytes()))
        for n in range(25)
    ]
    assert kept[-1] > kept[0]


@pytest.mark.slow
@pytest.mark.needs("loop")
def test_c8_after_a_power_cut_every_acknowledged_change_is_there(tmp_path: Path) -> None:
    disk, mounted = tmp_path / "disk", tmp_path / "mounted"
    disk.write_bytes(b"")
    os.truncate(disk, 64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    chance = random.Random(8)
    with _mounted(disk, mounted), _writing(mounted / "index.db", tmp_path / "acknowledged") as writer:
        for n in range(20):
            time.sleep(chance.random() * 0.1)
            with _standing_still(writer):
                shutil.copyfile(disk, tmp_path / f"cut-{n}")
                shutil.copyfile(tmp_path / "acknowledged", tmp_path / f"cut-{n}.acknowledged")
    for n in range(20):
        with _mounted(tmp_path / f"cut-{n}", tmp_path / "after"):
            _insist_that_it_kept(
                tmp_path / "after" / "index.db", _last((tmp_path / f"cut-{n}.acknowledged").read_bytes())
            )


@contextlib.contextmanager
def _writing(path: Path, acknowledged: Path):
    """A writer that has begun; killed at the end."""
    command = [sys.executable, WRITER, path, "1000000"]
    with acknowledged.open("wb") as lines, subprocess.Popen(command, stdout=lines) as writer:
        deadline = time.monotonic() + 60
        while not acknowledged.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield writer
        finally:
            writer.kill()


@contextlib.contextmanager
def _standing_still(writer: subprocess.Popen[bytes]):
    """What is copied meanwhile is of one instant."""
    writer.send_signal(signal.SIGSTOP)
    os.waitpid(writer.pid, os.WUNTRACED)
    try:
        yield
    finally:
        writer.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def _mounted(disk: Path, at: Path):
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", disk, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def _last(lines: bytes) -> int:
    """The last acknowledged seq; a half-written line does not count."""
    return int((b"0\n" + lines).split(b"\n")[:-1][-1])


def _insist_that_it_kept(path: Path, acknowledged: int) -> int:
    with contextlib.closing(opened(path)) as store:
        assert store.rebuilt == ""
        insist_that_it_is_whole(store)
        kept = len(store.outbox(1_000_000))
        assert kept >= acknowledged
    return kept
