from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.errors import (
    AlreadyRunning,
    BadPath,
    Broken,
    Corrupt,
    DiskUnavailable,
    NoSpace,
    OriginUnavailable,
    Stopped,
)
from model_manager.facts.identity import Algorithm, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer
from model_manager.library.contents.hashing import CHUNK
from model_manager.library.disk import punch
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.partial import SYNC_EVERY, Partial
from model_manager.library.incoming.staging import part_name
from tests.library.downloader import MIB, pattern
from tests.library.faulty import FaultyDisk
from tests.library.feeding import append, crash, exchange_disk
from tests.library.shelves import ETAG, FLUX, URL, offer, own_root, put, staging


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return staging(own_root(tmp_path / "models"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def data_of(directory: str) -> Path:
    return Path(directory, part_name(FLUX))


def test_bytes_arrive_are_counted_and_hashed(directory: str) -> None:
    content = os.urandom(3 * CHUNK + 5)
    with Partial.open(directory, FLUX, algorithms=frozenset({"sha256", "md5"})) as partial:
        partial.begin(URL, offer(size=len(content)))
        for start in range(0, len(content), 100_000):
            append(partial, content[start : start + 100_000])
        got = partial.finish()
    assert got.size == got.fetched == len(content)
    assert got.digests.sha256 == sha256(content)
    assert got.digests.md5 == hashlib.md5(content).hexdigest()
    assert (got.host, got.validator) == ("origin.test", ETAG)
    assert data_of(directory).read_bytes() == content


def test_d8_a_closed_partial_goes_on_where_it_was(directory: str) -> None:
    first, second = os.urandom(CHUNK + 7), os.urandom(CHUNK)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=len(first + second)))
        append(partial, first)
    with Partial.open(directory, FLUX) as partial:
        assert partial.resumable(URL) == (len(first), ETAG)
        partial.begin(URL, offer(start=len(first)))
        append(partial, second)
        got = partial.finish()
    assert got.digests.sha256 == sha256(first + second)
    assert (got.size, got.fetched) == (len(first + second), len(second))


def test_one_partial_can_go_on_after_a_broken_connection_without_being_opened_again(directory: str) -> None:
    content = os.urandom(5000)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=5000))
        append(partial, content[:2000])
        with pytest.raises(OriginUnavailable, match="2000 of 5000"):
            partial.finish()
        start, validator = partial.resumable(URL)
        assert (start, validator) == (2000, ETAG)
        partial.begin(URL, offer(size=5000, start=start))
        append(partial, content[2000:])
        assert partial.finish().digests.sha256 == sha256(content)


def test_d1_bytes_that_were_not_synced_do_not_count_after_a_crash(directory: str) -> None:
    partial = Partial.open(directory, FLUX, sync_every=2000)
    partial.begin(URL, offer())
    append(partial, b"a" * 2000)
    append(partial, b"b" * 1999)
    crash(partial)
    with Partial.open(directory, FLUX) as after:
        assert after.reached == 2000
        assert data_of(directory).stat().st_size == 2000


@pytest.mark.parametrize("size", [SYNC_EVERY - 1, SYNC_EVERY, SYNC_EVERY + 1])
def test_a_file_of_about_the_length_of_a_sync_comes_to_its_end(directory: str, size: int) -> None:
    data = os.urandom(size)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size))
        append(partial, data)
        partial.settle()
        assert partial.finish().digests.sha256 == hashlib.sha256(data).hexdigest()


def test_promise_4_at_most_64_mib_are_not_synced() -> None:
    assert SYNC_EVERY <= 64 * 1024 * 1024


@pytest.mark.parametrize(("count", "killed_at"), [(3, 0), (3, 2), (8, 4)])
def test_d1_a_killed_download_goes_on_and_ends_with_the_right_bytes(directory: str, count: int, killed_at: int) -> None:
    command = [sys.executable, "-m", "tests.library.downloader", directory, str(count), str(2 * MIB)]
    child = subprocess.Popen([*command, str(killed_at)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert str(killed_at) in map(str.strip, child.stdout)
    child.kill()
    child.communicate()
    again = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert int(again.stdout.split()[1]) == (killed_at + 1) // 2 * 2 * MIB
    assert data_of(directory).read_bytes() == b"".join(map(pattern, range(count)))


def test_d2_a_finished_file_is_finished_again_without_the_network(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=5))
        append(partial, b"whole")
        first = partial.finish()
    with Partial.open(directory, FLUX) as partial:
        assert partial.complete
        again = partial.finish()
    assert again.digests == first.digests
    assert again.fetched == 0


def test_b15_the_last_byte_may_be_there_while_the_end_was_not_written_down(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=5))
        append(partial, b"whole")
    with Partial.open(directory, FLUX) as partial:
        assert not partial.complete
        assert partial.resumable(URL) == (5, ETAG)
        assert partial.finish().digests.sha256 == sha256(b"whole")


def test_b1_an_offer_from_the_first_byte_starts_again(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=10))
        append(partial, b"older bytes"[:9])
        partial.begin(URL, offer(size=3, validator='"new"'))
        append(partial, b"new")
        got = partial.finish()
    assert data_of(directory).read_bytes() == b"new"
    assert got.digests.sha256 == sha256(b"new")


def test_b4_a_crash_after_starting_again_never_splices_two_objects(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"a" * 2000)
        partial.sync()
        disk = FaultyDisk("replace", errno.EIO, at=2)
        exchange_disk(partial, disk)
        with pytest.raises(DiskUnavailable):
            partial.begin(URL, offer(validator='"new"'))
        crash(partial)
    with Partial.open(directory, FLUX) as after:
        assert after.reached == 0
        assert after.resumable(URL) == (0, None)


@pytest.mark.parametrize(
    "contradiction",
    [
        Offer(size=5001, validator=ETAG, promise=None, start=2000, host="h"),
        Offer(size=5000, validator='"other"', promise=None, start=2000, host="h"),
        Offer(size=5000, validator=ETAG, promise=Pin(algorithms=("sha256",), hex="b" * 64), start=2000, host="h"),
        Offer(size=5000, validator=ETAG, promise=None, start=1999, host="h"),
    ],
    ids=["b3-length", "b4-etag", "digest", "b2-offset"],
)
def test_b2_an_offer_that_contradicts_what_is_here_is_refused(directory: str, contradiction: Offer) -> None:
    promise = Pin(algorithms=("sha256",), hex="a" * 64)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, Offer(size=5000, validator=ETAG, promise=promise, start=0, host="h"))
        append(partial, bytes(2000))
        with pytest.raises(Corrupt):
            partial.begin(URL, contradiction)
        assert partial.reached == 2000


def test_b6_more_bytes_than_announced_are_not_written(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=4))
        with pytest.raises(Corrupt, match="more than its 4 bytes"):
            append(partial, b"12345")
        assert data_of(directory).stat().st_size == 0


def test_hashing_what_is_here_can_be_stopped_and_goes_on(directory: str) -> None:
    content = os.urandom(64 * CHUNK)
    both = frozenset[Algorithm]({"sha256", "md5"})
    with Partial.open(directory, FLUX, algorithms=both) as partial:
        partial.begin(URL, offer(size=len(content)))
        append(partial, content)
    with Partial.open(directory, FLUX, algorithms=both) as partial:
        told: list[int] = []
        with pytest.raises(Stopped):
            partial.finish(cancelled=lambda: True, progress=told.append)
        assert partial.finish(progress=told.append).digests.sha256 == sha256(content)
        assert told == sorted(told)
        assert told[-1] == len(content)


def test_c1_a_full_disk_keeps_what_is_here(directory: str) -> None:
    with Partial.open(directory, FLUX, disk=FaultyDisk("write", errno.ENOSPC, at=3, times=9)) as partial:
        partial.begin(URL, offer())
        append(partial, b"a" * 2000)  # journal, then bytes
        with pytest.raises(NoSpace):
            append(partial, b"b" * 100)
        exchange_disk(partial, FaultyDisk())
    with Partial.open(directory, FLUX) as after:
        assert after.resumable(URL) == (2000, ETAG)


@pytest.mark.needs("tmpfs")
def test_c1_a_really_full_disk_keeps_what_is_here_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "from tests.library.feeding import append\n"
        "where = sys.argv[1]\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'none', where], check=True)\n"
        "from model_manager.errors import NoSpace\n"
        "from model_manager.library.incoming.partial import Partial\n"
        "from tests.library.shelves import FLUX, URL, offer\n"
        "open(f'{where}/other', 'wb').write(bytes(2 << 20))\n"
        "partial = Partial.open(f'{where}/.p', FLUX, sync_every=1 << 20)\n"
        "partial.begin(URL, offer(size=3 << 20))\n"
        "try:\n    [append(partial, bytes(1 << 18)) for _ in range(12)]\n"
        "except NoSpace:\n    print('full', partial.reached >= 1 << 20)\n"
        "partial.close()\n"
        "os.unlink(f'{where}/other')\n"
        "partial = Partial.open(f'{where}/.p', FLUX)\n"
        "partial.begin(URL, offer(start=partial.resumable(URL)[0]))\n"
        "print(partial.reached >= 1 << 20)\n"
        "append(partial, bytes((3 << 20) - partial.reached))\n"
        "print(partial.finish().size)\n"
    )
    run = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["full", "True", "True", str(3 << 20)], run.stderr


@pytest.mark.parametrize("call", ["sync_data", "sync"])
def test_c4_after_a_failed_sync_the_bytes_are_never_trusted_again(directory: str, call: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"whole")
        exchange_disk(partial, FaultyDisk(call, errno.EIO))
        with pytest.raises(DiskUnavailable, match="sync"):
            partial.sync() if call == "sync_data" else partial.finish()
        with pytest.raises(Broken):
            append(partial, b"more")
    assert os.listdir(directory) == []


@pytest.mark.needs("strace")
def test_c4_a_real_eio_of_fsync_discards_the_bytes(directory: str) -> None:
    trace = ["strace", "-f", "-o", "/dev/null", "-P", str(data_of(directory)), "-e", "inject=fsync,fdatasync:error=EIO"]
    command = [sys.executable, "-m", "tests.library.downloader", directory, "2", str(64 * MIB)]
    run = subprocess.run([*trace, *command], input="", capture_output=True, text=True, check=False)
    assert "DiskUnavailable" in run.stderr
    assert "finished" not in run.stdout
    assert os.listdir(directory) == []


def test_c1_a_sync_that_finds_the_disk_full_goes_back_to_the_last_good_one(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"a" * 2000)
        partial.sync()
        append(partial, b"b" * 100)
        exchange_disk(partial, FaultyDisk("sync_data", errno.ENOSPC))
        with pytest.raises(NoSpace):
            partial.sync()
    with Partial.open(directory, FLUX) as after:
        assert after.reached == 2000


def test_c6_short_writes_are_completed(directory: str) -> None:
    with Partial.open(directory, FLUX, disk=FaultyDisk(taking=300)) as partial:
        partial.begin(URL, offer())
        append(partial, b"0123456789" * 1000)
        assert partial.finish().digests.sha256 == sha256(b"0123456789" * 1000)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("said", [100, 4096, MIB], ids=["part-of-a-page", "page", "everything"])
def test_c6_a_write_that_lies_is_found_before_the_file_is_finished(directory: str, said: int) -> None:
    lie = f"inject=pwrite64,pwritev,pwritev2:retval={said}:when=2"
    trace = ["strace", "-f", "-o", "/dev/null", "-P", str(data_of(directory)), "-e", lie]
    command = [sys.executable, "-m", "tests.library.downloader", directory, "3", str(64 * MIB)]
    run = subprocess.run([*trace, *command], input="", capture_output=True, text=True, check=False)
    assert "Corrupt" in run.stderr
    assert "finished" not in run.stdout
    assert os.listdir(directory) == []


def test_c6_zeros_that_became_holes_are_no_lie(directory: str) -> None:
    content = bytes(3 * MIB)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=len(content)))
        append(partial, content)
        punch(partial._out.fd, MIB, MIB)
        assert partial.finish().digests.sha256 == sha256(content)


def test_c6_what_is_read_back_is_what_the_file_has(directory: str) -> None:
    with Partial.open(directory, FLUX, buffers=Buffers(1)) as partial:
        partial.begin(URL, offer(size=2 * MIB))
        append(partial, b"B" * MIB, MIB)
        with data_of(directory).open("r+b") as meddler:
            meddler.seek(MIB)
            meddler.write(b"wrong")
        append(partial, b"A" * MIB, 0)
        assert partial.finish().digests.sha256 == sha256(b"A" * MIB + b"wrong" + b"B" * (MIB - 5))


def test_c6_a_file_that_is_longer_than_what_was_written_is_not_finished(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=5))
        append(partial, b"right")
        with data_of(directory).open("ab") as meddler:
            meddler.write(b" and more")
        with pytest.raises(Corrupt):
            partial.finish()
    assert os.listdir(directory) == []


def test_i1_two_writers_of_one_slot_are_refused(directory: str) -> None:
    with Partial.open(directory, FLUX), pytest.raises(AlreadyRunning):
        Partial.open(directory, FLUX)


@pytest.mark.parametrize("step", [Partial.sync, Partial.finish], ids=["sync", "finish"])
def test_i2_where_locks_lie_the_earlier_writer_steps_back(
    directory: str, monkeypatch: pytest.MonkeyPatch, step: Callable[[Partial], object]
) -> None:
    monkeypatch.setattr("fcntl.flock", lambda fd, how: None)
    with Partial.open(directory, FLUX) as first, Partial.open(directory, FLUX) as second:
        first.begin(URL, offer())
        second.begin(URL, offer())
        with pytest.raises(AlreadyRunning):
            step(first)
        append(second, b"mine")
        assert second.finish().digests.sha256 == sha256(b"mine")


def test_k11_unfinished_is_private_and_finished_is_readable_under_any_umask(directory: str) -> None:
    for mask in (0o000, 0o077):
        before = os.umask(mask)
        try:
            with Partial.open(directory, FLUX) as partial:
                assert data_of(directory).stat().st_mode & 0o7777 == 0o600
                partial.begin(URL, offer())
                append(partial, b"x")
                partial.finish()
                assert data_of(directory).stat().st_mode & 0o7777 == 0o644
                partial.discard()
        finally:
            os.umask(before)
    assert Path(directory).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("trap", ["link", "hard link", "fifo", "directory"])
def test_k3_an_unfinished_name_that_leads_elsewhere_is_refused(directory: str, tmp_path: Path, trap: str) -> None:
    victim = put(tmp_path / "victim", b"theirs")
    os.mkdir(directory)
    {
        "link": lambda: data_of(directory).symlink_to(victim),
        "hard link": lambda: data_of(directory).hardlink_to(victim),
        "fifo": lambda: os.mkfifo(data_of(directory)),
        "directory": lambda: data_of(directory).mkdir(),
    }[trap]()
    with pytest.raises(BadPath):
        Partial.open(directory, FLUX)
    assert victim.read_bytes() == b"theirs"


def test_c10_a_root_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        Partial.open(str(tmp_path / "unmounted" / ".p"), FLUX)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"slot":"other/slot"}'])
def test_a_damaged_journal_means_starting_again(directory: str, damage: bytes) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"bytes")
    put(Path(directory, f"{part_name(FLUX)}.json"), damage)
    with Partial.open(directory, FLUX) as partial:
        assert partial.reached == 0


def test_a_journal_that_promises_more_than_there_is_means_starting_again(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"bytes")
    os.truncate(data_of(directory), 3)
    with Partial.open(directory, FLUX) as partial:
        assert partial.reached == 0


def test_discard_leaves_nothing_and_may_be_repeated(directory: str) -> None:
    partial = Partial.open(directory, FLUX)
    partial.begin(URL, offer())
    append(partial, b"bytes")
    partial.discard()
    partial.discard()
    partial.close()
    assert os.listdir(directory) == []


def test_a_partial_leaks_no_descriptor_however_it_ends(directory: str, tmp_path: Path) -> None:
    Partial.open(directory, FLUX).discard()
    before = len(os.listdir("/proc/self/fd"))
    Partial.open(directory, FLUX).close()
    with Partial.open(directory, FLUX), pytest.raises(AlreadyRunning):
        Partial.open(directory, FLUX)
    with pytest.raises(DiskUnavailable):
        Partial.open(str(tmp_path / "no" / "where"), FLUX)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer())
        append(partial, b"x")
        exchange_disk(partial, FaultyDisk("sync_data", errno.EIO))
        with pytest.raises(DiskUnavailable):
            partial.sync()
    assert len(os.listdir("/proc/self/fd")) == before


Step = tuple[int, int, bool, bool]


@settings(max_examples=25, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=9000),
    steps=st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 4000), st.booleans(), st.booleans()), max_size=10),
)
def test_d1_any_history_of_crashes_and_lanes_ends_with_the_right_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, steps: list[Step]
) -> None:
    directory = staging(own_root(tmp_path_factory.mktemp("history")))
    shelf = ShelfPath(folder="vae", name="x.safetensors")
    for number, (at, size, crashes, restart) in enumerate(steps):
        partial = Partial.open(directory, shelf, sync_every=1500)
        start = 0 if restart else partial.resumable(URL)[0]
        partial.begin(
            URL, offer(size=len(content), start=start, validator=f'"{number}"' if restart else partial_etag(partial))
        )
        first, second = (partial.lane(where, len(content)) for where in (partial.reached, min(at, len(content))))
        fill(second, content[second.at : second.at + size])
        fill(first, content[first.at : first.at + size])
        for lane in (first, second):
            lane.close()
        if at % 2:
            partial.settle()
        crash(partial) if crashes else partial.close()
    with Partial.open(directory, shelf) as partial:
        partial.begin(URL, offer(size=len(content), start=partial.resumable(URL)[0], validator=partial_etag(partial)))
        for start, stop in partial.missing():
            lane = partial.lane(start, stop)
            fill(lane, content[start:stop])
            lane.close()
        assert partial.finish().digests.sha256 == sha256(content)


def partial_etag(partial: Partial) -> str:
    return partial.resumable(URL)[1] or partial._ledger.journal.validator or ETAG
