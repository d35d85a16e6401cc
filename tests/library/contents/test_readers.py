from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest
from blake3 import blake3

from model_manager.errors import BadContent, DiskUnavailable, StillChanging, Stopped
from model_manager.facts.device import Device
from model_manager.library.contents import readers as module
from model_manager.library.contents.courtesy import NICEST
from model_manager.library.contents.hashing import CHUNK
from model_manager.library.contents.readers import Haste, Readers
from tests.library.mapping import small, watched
from tests.library.shelves import put

HDD = Device(name="sda", kind="rotational")
SSD = Device(name="nvme0n1", kind="ssd")
LIKES = {"sda": 1, "nvme0n1": 3}
SHA256 = frozenset({"sha256"})


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Hall:
    """Readings that begin, and go on for as long as a test wants."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.reading: set[str] = set()
        self.most = 0
        self._done: set[str] = set()
        self._lock = threading.Lock()
        self.options: dict[str, dict[str, object]] = {}

    def finish(self, *names: str) -> None:
        self._done.update(names)

    def read(self, file: str, algorithms: object, *, cancelled, pace, **options: object) -> str:
        with self._lock:
            self.order.append(file)
            self.reading.add(file)
            self.most = max(self.most, len(self.reading))
            self.options[file] = {**options, "pace": pace}
        try:
            while file not in self._done:
                if cancelled():
                    raise Stopped(what=file)
                time.sleep(0.001)
            return file
        finally:
            with self._lock:
                self.reading.discard(file)


@pytest.fixture
def pool() -> Iterator[Readers]:
    before = threading.active_count()
    pool = Readers(lambda device: LIKES[device.name], cores=4)
    yield pool
    pool.close()
    until(lambda: threading.active_count() == before)


@pytest.fixture
def hall(monkeypatch: pytest.MonkeyPatch) -> Hall:
    hall = Hall()
    monkeypatch.setattr(module, "digest_file", hall.read)
    return hall


def ask(pool: Readers, file: str | Path, device: Device = SSD, haste: Haste = "background") -> Future:
    return pool.submit(str(file), SHA256, device=device, haste=haste)


@pytest.mark.parametrize("haste", module.HASTES)
def test_a_file_is_read_and_the_threads_end(pool: Readers, tmp_path: Path, haste: Haste) -> None:
    before = threading.active_count()
    read = ask(pool, put(tmp_path / "x", b"weights"), haste=haste).result(20)
    assert read[1].sha256 == hashlib.sha256(b"weights").hexdigest()
    until(lambda: threading.active_count() == before)


async def test_a_program_awaits_it(pool: Readers, tmp_path: Path) -> None:
    files = [put(tmp_path / str(number), os.urandom(3 * CHUNK)) for number in range(8)]
    read = await asyncio.gather(*(asyncio.wrap_future(ask(pool, file)) for file in files))
    assert [digests.sha256 for _, digests in read] == [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_what_goes_wrong_comes_through(pool: Readers, tmp_path: Path) -> None:
    assert isinstance(ask(pool, tmp_path).exception(20), BadContent)
    assert isinstance(ask(pool, tmp_path / "missing").exception(20), StillChanging)


def test_each_device_is_read_by_as_many_as_it_likes(pool: Readers, hall: Hall) -> None:
    slow, fast = [f"s{n}" for n in range(4)], [f"f{n}" for n in range(8)]
    futures = [ask(pool, file, HDD) for file in slow] + [ask(pool, file, SSD) for file in fast]
    until(lambda: len(hall.reading) == 4)
    assert hall.reading == {"s0", "f0", "f1", "f2"}
    hall.finish(*slow, *fast)
    assert [future.result(20) for future in futures] == slow + fast
    assert hall.most == 4
    assert [file for file in hall.order if file in slow] == slow


def test_more_workers_count_from_the_next_file_on(pool: Readers, hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in "abc":
        ask(pool, file, HDD)
    until(lambda: hall.reading == {"a"})
    monkeypatch.setitem(LIKES, "sda", 2)
    hall.finish("a")
    until(lambda: hall.reading == {"b", "c"})


def test_what_somebody_waits_for_begins_at_once_and_the_rest_pauses(pool: Readers, hall: Hall) -> None:
    for file in ("rest", "later"):
        ask(pool, file, HDD)
    ask(pool, "scrub", HDD, "scrub")
    until(lambda: hall.reading == {"rest"})
    urgent = ask(pool, "urgent", HDD, "urgent")
    until(lambda: hall.reading == {"rest", "urgent"})
    assert hall.options["rest"]["pace"].held
    assert not hall.options["urgent"]["pace"].held
    hall.finish("urgent")
    urgent.result(20)
    until(lambda: not hall.options["rest"]["pace"].held)
    hall.finish("rest", "later", "scrub")
    until(lambda: "scrub" in hall.order)
    assert hall.order == ["rest", "urgent", "later", "scrub"]


def test_another_device_does_not_pause(pool: Readers, hall: Hall) -> None:
    ask(pool, "rest", SSD)
    ask(pool, "urgent", HDD, "urgent")
    until(lambda: hall.reading == {"rest", "urgent"})
    assert not hall.options["rest"]["pace"].held


def test_a_pause_loses_nothing(pool: Readers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(CHUNK) * 40
    begun, free = threading.Event(), threading.Event()

    def halt(done: int) -> None:
        begun.set()
        assert free.wait(20)

    rest = pool.submit(str(put(tmp_path / "rest", content)), SHA256, device=HDD, progress=halt)
    assert begun.wait(20)
    urgent = ask(pool, put(tmp_path / "urgent", b"weights"), HDD, "urgent")
    free.set()
    assert urgent.result(20)[1].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert rest.result(20)[1].sha256 == hashlib.sha256(content).hexdigest()


def test_cores_are_dealt_out_among_the_files_of_a_device(pool: Readers, hall: Hall) -> None:
    ask(pool, "alone", HDD)
    until(lambda: hall.reading)
    assert hall.options["alone"]["threads"] == 4
    for file in "abc":
        ask(pool, file)
        until(lambda file=file: file in hall.reading)
    assert [hall.options[file]["threads"] for file in "abc"] == [4, 2, 1]


def test_only_what_is_urgent_stays_in_memory_and_at_its_priority(
    pool: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[object, int]] = {}

    def look(file: str, algorithms: object, *, lasting: bool, **options: object) -> None:
        seen[file] = lasting, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    monkeypatch.setattr(module, "digest_file", look)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for haste in module.HASTES:
        ask(pool, haste, haste=haste).result(20)
    assert seen == {"urgent": (True, own), "background": (False, NICEST), "scrub": (False, NICEST)}


def test_rates_are_of_each_device_and_change_while_it_is_read(pool: Readers, hall: Hall) -> None:
    pool.set_rate("background", 5.0)
    ask(pool, "a", HDD)
    ask(pool, "b", SSD)
    ask(pool, "c", SSD)
    ask(pool, "now", Device(name="sda", kind="rotational"), "urgent")
    until(lambda: len(hall.reading) == 4)
    paces = {file: hall.options[file]["pace"] for file in hall.reading}
    assert paces["b"] is paces["c"]
    assert paces["a"] is not paces["b"]
    pool.set_rate("background", 7.0)
    assert {file: pace.rate for file, pace in paces.items()} == {"a": 7.0, "b": 7.0, "c": 7.0, "now": None}


def test_d8_who_is_cancelled_before_his_turn_is_never_read(pool: Readers, hall: Hall) -> None:
    ask(pool, "first", HDD)
    until(lambda: hall.reading)
    second = ask(pool, "second", HDD)
    third = ask(pool, "third", HDD)
    assert second.cancel()
    hall.finish("first", "third")
    third.result(20)
    assert hall.order == ["first", "third"]


def test_d8_a_reading_ends_when_its_owner_says_so(pool: Readers, hall: Hall) -> None:
    stop = threading.Event()
    future = pool.submit("x", SHA256, device=HDD, cancelled=stop.is_set)
    until(lambda: hall.reading)
    stop.set()
    assert isinstance(future.exception(20), Stopped)


def test_d8_closing_ends_what_runs_and_cancels_what_waits(pool: Readers, hall: Hall) -> None:
    running, waiting = ask(pool, "running", HDD), ask(pool, "waiting", HDD)
    until(lambda: hall.reading)
    pool.close()
    assert isinstance(running.exception(0), Stopped)
    with pytest.raises(CancelledError):
        waiting.result(0)
    with pytest.raises(Stopped):
        ask(pool, "late")


def test_d8_closing_does_not_wait_for_a_pause(pool: Readers, tmp_path: Path) -> None:
    pool.set_rate("background", 1.0)
    future = ask(pool, put(tmp_path / "x", bytes(20 * CHUNK)))
    until(future.running)
    pool.close()
    assert isinstance(future.exception(0), Stopped)


def test_a_system_without_threads_is_said(pool: Readers, hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as poor:
        poor.setattr(module.threading.Thread, "start", refused)
        assert isinstance(ask(pool, "x", HDD).exception(0), DiskUnavailable)
    hall.finish("y")
    assert ask(pool, "y", HDD).result(20) == "y"


def test_what_paused_for_something_that_could_not_begin_goes_on(pool: Readers, hall: Hall, monkeypatch) -> None:
    ask(pool, "rest", HDD)
    until(lambda: hall.reading)

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as poor:
        poor.setattr(module.threading.Thread, "start", refused)
        assert ask(pool, "urgent", HDD, "urgent").exception(0)
    assert not hall.options["rest"]["pace"].held


@pytest.mark.parametrize("haste", module.HASTES)
def test_blake3_of_what_is_in_memory_is_taken_by_a_process_with_the_priority_of_its_haste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, haste: Haste
) -> None:
    small(monkeypatch)
    started = watched(monkeypatch)
    before = threading.active_count()
    pool = Readers(lambda _: 1, cores=2)
    content = os.urandom(3 * CHUNK)
    for number in range(2):
        file = put(tmp_path / str(number), content)
        read = pool.submit(str(file), frozenset({"blake3"}), device=SSD, haste=haste).result(20)
        assert read[1].blake3 == blake3(content).hexdigest()
    (child,) = started
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == (
        os.getpriority(os.PRIO_PROCESS, 0) if haste == "urgent" else NICEST
    )
    pool.close()
    assert child.returncode == 0
    until(lambda: threading.active_count() == before)
