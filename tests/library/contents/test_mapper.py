from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from model_manager.errors import StillChanging, Stopped
from model_manager.library.contents import mapper as module
from model_manager.library.contents.courtesy import NICEST, give_way
from model_manager.library.contents.hashing import digest_file
from model_manager.library.contents.mapper import COMMAND, Mapper, worth
from model_manager.library.contents.pace import Pace
from model_manager.library.volume import Volume
from tests.library.mapping import MIB, Children, small, until, watched
from tests.library.shelves import put

BLAKE3 = frozenset({"blake3"})
MAPPED = COMMAND[-1]

CUT = """
import mmap, os, runpy
real = mmap.mmap
def cutting(fd, *more, **options):
    area = real(fd, *more, **options)
    os.truncate({path!r}, 0)
    return area
mmap.mmap = cutting
runpy.run_path({mapped!r}, run_name="__main__")
"""
"""The file is cut short while it is mapped, for certain."""

HOLDER = """
import os, sys, time
from model_manager.library.contents.mapper import Mapper
mapper, file = Mapper(), os.open(sys.argv[1], os.O_RDONLY)
mapper.blake3(file, 1, 1, lambda start, stop: None, lambda done: None)
print(mapper._idle[0][1]._child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Children:
    small(monkeypatch)
    return watched(monkeypatch)


@pytest.fixture
def mapper() -> Iterator[Mapper]:
    before = threading.active_count()
    mapper = Mapper()
    yield mapper
    mapper.close()
    until(lambda: threading.active_count() <= before)


def never(start: int, stop: int) -> None:
    """Of who waits for nothing."""


def hashed(mapper: Mapper, file: Path, **options: object) -> str | None:
    return digest_file(str(file), BLAKE3, mapper=mapper, **options)[1].blake3


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 5 * MIB, 5 * MIB + 4097])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_digest_is_that_of_the_bytes_however_many_parts_they_have(
    mapper: Mapper, started: Children, tmp_path: Path, size: int, threads: int
) -> None:
    content = os.urandom(size)
    told: list[int] = []
    assert (
        hashed(mapper, put(tmp_path / "x", content), threads=threads, progress=told.append)
        == blake3(content).hexdigest()
    )
    assert len(started) == 1
    assert told == [*range(MIB, size, MIB), size]


def test_one_process_hashes_one_file_after_another_and_holds_none(
    mapper: Mapper, started: Children, tmp_path: Path
) -> None:
    for number in range(5):
        content = os.urandom(2 * MIB + number)
        assert hashed(mapper, put(tmp_path / str(number), content)) == blake3(content).hexdigest()
    (child,) = started
    open_there = [os.readlink(entry) for entry in Path(f"/proc/{child.pid}/fd").iterdir()]
    assert not [path for path in open_there if str(tmp_path) in path]


def test_a_process_ends_when_nobody_needs_it_and_is_no_zombie(started: Children, tmp_path: Path) -> None:
    before = threading.active_count()
    mapper = Mapper(idle=0.05)
    hashed(mapper, put(tmp_path / "x", b"weights"))
    until(lambda: threading.active_count() == before)
    assert [child.returncode for child in started] == [0]
    hashed(mapper, put(tmp_path / "x", b"weights"))
    assert len(started) == 2
    mapper.close()
    assert started[1].returncode == 0


def test_many_at_once_have_a_process_each_and_all_are_right(mapper: Mapper, started: Children, tmp_path: Path) -> None:
    contents = [os.urandom(3 * MIB + number) for number in range(12)]
    files = [put(tmp_path / str(number), content) for number, content in enumerate(contents)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda file: hashed(mapper, file, threads=2), files))
    assert found == [blake3(content).hexdigest() for content in contents]
    assert 1 <= len(started) <= 4
    mapper.close()
    assert {child.returncode for child in started} == {0}


def test_h3_a_file_that_is_cut_short_while_it_is_mapped_ends_the_process_and_not_us(
    started: Children, tmp_path: Path
) -> None:
    file = put(tmp_path / "x", os.urandom(3 * MIB))
    mapper = Mapper(command=(*COMMAND[:2], "-c", CUT.format(path=str(file), mapped=MAPPED)))
    with pytest.raises(StillChanging):
        hashed(mapper, file)
    mapper.close()
    assert [child.returncode for child in started] == [-signal.SIGBUS]


def test_h3_a_file_that_is_cut_short_between_two_parts_has_no_digest(
    mapper: Mapper, started: Children, tmp_path: Path
) -> None:
    file = put(tmp_path / "x", os.urandom(8 * MIB))
    with pytest.raises(StillChanging):
        hashed(mapper, file, progress=lambda _: os.truncate(file, 100))
    assert started


def test_d1_a_process_that_is_killed_costs_only_time(mapper: Mapper, started: Children, tmp_path: Path) -> None:
    content = os.urandom(16 * MIB)
    kills: list[int] = []

    def kill(_: int) -> None:
        if not kills:
            kills.append(started[0].pid)
            started[0].kill()

    file = put(tmp_path / "x", content)
    assert hashed(mapper, file, progress=kill) == blake3(content).hexdigest()
    assert [child.returncode for child in started] == [-signal.SIGKILL]
    assert hashed(mapper, file) == blake3(content).hexdigest()
    assert len(started) == 2


def test_one_that_died_while_it_rested_costs_only_time(mapper: Mapper, started: Children, tmp_path: Path) -> None:
    file = put(tmp_path / "x", b"weights")
    hashed(mapper, file)
    started[0].kill()
    started[0].wait()
    assert hashed(mapper, file) == blake3(b"weights").hexdigest()


def test_d8_who_wants_it_no_more_ends_it_at_once(mapper: Mapper, started: Children, tmp_path: Path) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        hashed(mapper, put(tmp_path / "x", bytes(32 * MIB)), cancelled=lambda: next(asked, True))
    assert [child.returncode for child in started] == [-signal.SIGKILL]


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import time; time.sleep(0.2)"])
def test_where_no_process_works_the_file_is_read(started: Children, tmp_path: Path, code: str) -> None:
    mapper = Mapper(command=(sys.executable, "-I", "-c", code))
    assert hashed(mapper, put(tmp_path / "x", b"weights")) == blake3(b"weights").hexdigest()
    mapper.close()
    assert [child.returncode is not None for child in started] == [True]


def test_where_no_process_can_be_started_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    mapper = Mapper(command=("/no/such/program",))
    before = len(os.listdir("/proc/self/fd"))
    assert hashed(mapper, put(tmp_path / "x", b"weights")) == blake3(b"weights").hexdigest()
    assert len(os.listdir("/proc/self/fd")) == before


def test_each_part_is_paid_for_before_it_is_asked_for(mapper: Mapper, started: Children, tmp_path: Path) -> None:
    paid: list[tuple[int, int]] = []
    done: list[int] = [0]
    file = put(tmp_path / "x", bytes(5 * MIB + 9))
    fd = os.open(file, os.O_RDONLY)

    def take(start: int, stop: int) -> None:
        assert start - done[-1] <= module.AHEAD * MIB
        paid.append((start, stop))

    mapper.blake3(fd, 5 * MIB + 9, 2, take, done.append)
    os.close(fd)
    assert paid == [(at, min(at + MIB, 5 * MIB + 9)) for at in range(0, 5 * MIB + 9, MIB)]


@pytest.mark.parametrize("rate", [1e12, None])
def test_what_has_to_keep_to_a_rate_is_read(
    mapper: Mapper, started: Children, tmp_path: Path, rate: float | None
) -> None:
    file = put(tmp_path / "x", bytes(2 * MIB))
    assert hashed(mapper, file, pace=Pace(rate)) == blake3(bytes(2 * MIB)).hexdigest()
    assert len(started) == (0 if rate else 1)


def test_a_process_has_the_priority_of_who_started_it_and_nothing_else_of_ours(
    started: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_CANARY")
    file, mapper = put(tmp_path / "x", b"weights"), Mapper()
    kept = os.open(file, os.O_RDONLY)
    os.set_inheritable(kept, True)

    def courteous() -> None:
        give_way()
        hashed(mapper, file)

    thread = threading.Thread(target=courteous)
    thread.start()
    thread.join()
    (child,) = started
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == NICEST
    assert Path(f"/proc/{child.pid}/environ").read_bytes() == b""
    assert not [entry for entry in Path(f"/proc/{child.pid}/fd").iterdir() if str(tmp_path) in os.readlink(entry)]
    assert os.getsid(child.pid) == child.pid
    os.close(kept)
    mapper.close()


def test_d7_its_memory_stays_flat_whatever_the_size(started: Children, tmp_path: Path) -> None:
    mapper = Mapper()
    file = tmp_path / "x"
    with file.open("wb") as out:
        out.truncate(256 * MIB)
    hashed(mapper, file)
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{started[0].pid}/status").read_text().splitlines() if ":\t" in line
    )
    mapper.close()
    assert int(status["RssAnon"].split()[0]) < 64 * 1024


def test_d1_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    file = put(tmp_path / "x", b"weights")
    with subprocess.Popen([sys.executable, "-c", HOLDER, file], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert _alive(child)
        holder.kill()
    until(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("kind", "short", "absent", "answer"),
    [
        ("ext4", 0, (), True),
        ("ext4", 1, (), False),
        ("ext4", 0, range(4), True),
        ("ext4", 0, range(5), False),
        ("ext4", 0, range(40, 64, 4), False),
        ("nfs", 0, (), False),
        ("", 0, (), False),
        ("tmpfs", 0, range(64), True),
    ],
)
def test_only_a_large_file_that_is_in_memory_on_a_local_disk_is_worth_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, short: int, absent: Sequence[int], answer: bool
) -> None:
    monkeypatch.setattr(module, "volume_of", lambda _: Volume(kind=kind))
    monkeypatch.setattr(module, "_present", lambda _, offset: offset * module.POINTS // module.LEAST not in absent)
    with put(tmp_path / "x", b"weights").open("rb") as opened:
        assert worth(opened.fileno(), module.LEAST - short) is answer


def test_what_no_file_system_can_say_counts_as_not_in_memory(tmp_path: Path) -> None:
    end, other = os.pipe()
    assert not module._present(end, 0)
    os.close(end)
    os.close(other)
    with put(tmp_path / "x", b"").open("rb") as opened:
        assert not module._present(opened.fileno(), 0)
