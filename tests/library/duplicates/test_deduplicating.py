from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace as but
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable, NoSpace, NotReplaced, StillChanging, Stopped
from model_manager.facts.duplicate import Replacement
from model_manager.library.disk import Disk, fingerprint
from model_manager.library.duplicates import deduplicating
from model_manager.library.duplicates.blocks import layout
from model_manager.library.duplicates.deduplicating import replace
from model_manager.library.duplicates.undoing import UndoLog, undo
from tests.library.duplicates.test_blocks import SHARING
from tests.library.faulty import FaultyDisk
from tests.library.shelves import as_nobody
from tests.library.test_sharing import free, sync, volume
from tests.library.twins import OLD, Twins, are_one, indexed, litter, twins


@pytest.fixture
def pair(tmp_path: Path) -> Twins:
    return twins(tmp_path / "models")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[UndoLog]:
    with UndoLog(str(tmp_path / "undo.jsonl")) as made:
        yield made


def test_a_copy_becomes_a_second_name_of_the_kept_file(pair: Twins, log: UndoLog) -> None:
    told: list[int] = []
    kept = fingerprint(pair.kept.stat())
    done = replace(pair.step(), log, progress=told.append)
    assert are_one(pair)
    assert (done.how, done.fingerprint) == ("hard link", kept)
    assert done.freed >= len(pair.data)
    assert fingerprint(pair.kept.stat()) == kept
    assert told == [len(pair.data)]
    assert litter(pair) == []


def test_nothing_comes_free_while_the_old_file_has_another_name(pair: Twins, log: UndoLog) -> None:
    os.link(pair.copy, pair.copy.parent / "other")
    assert replace(pair.step(), log).freed == 0
    assert (pair.copy.parent / "other").read_bytes() == pair.data


@pytest.mark.parametrize("kind", SHARING)
def test_blocks_are_shared_and_the_copy_stays_a_file_of_its_own(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point, UndoLog(str(tmp_path / "undo.jsonl")) as log:
        pair = twins(point, (20 << 20) + 5000)
        sync(point)
        before, calm, told = free(point), fingerprint(pair.copy.stat()), list[int]()
        done = replace(pair.step("reflink"), log, progress=told.append)
        assert told == [16 << 20, len(pair.data)]
        assert (done.how, done.freed, done.fingerprint) == ("reflink", len(pair.data), calm)
        assert fingerprint(pair.copy.stat()) == calm
        assert pair.copy.stat().st_mode & 0o777 == 0o640
        assert free(point) - before > 18 << 20
        assert layout(str(pair.copy)) == layout(str(pair.kept))
        with open(pair.kept, "r+b") as file:
            file.write(b"changed")
        assert pair.copy.read_bytes() == pair.data


@pytest.mark.parametrize("kind", SHARING)
def test_where_blocks_are_shared_a_different_byte_is_found_by_the_kernel(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point, UndoLog(str(tmp_path / "undo.jsonl")) as log:
        pair = twins(point, 20 << 20)
        spoil(pair.copy, 18 << 20)
        wrong = pair.copy.read_bytes()
        with pytest.raises(NotReplaced, match=r"bytes differ .*model-manager verify"):
            replace(pair.step("reflink"), log)
        assert pair.copy.read_bytes() == wrong
        assert pair.kept.read_bytes() == pair.data


@pytest.mark.needs("loop")
def test_where_blocks_cannot_be_shared_it_says_so(tmp_path: Path, log: UndoLog) -> None:
    with volume("ext4", tmp_path) as point:
        pair = twins(point)
        with pytest.raises(NotReplaced, match="Use hard links"):
            replace(pair.step("reflink"), log)
        assert not are_one(pair)


def spoil(file: Path, at: int) -> None:
    """Bit rot: the fingerprint stays."""
    state = file.stat()
    with open(file, "r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)
        handle.seek(at)
        handle.write(bytes([byte[0] ^ 1]))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("which", ["kept", "copy"])
def test_c12_bytes_that_went_bad_under_an_equal_digest_are_never_linked(pair: Twins, log: UndoLog, which: str) -> None:
    step = pair.step()
    spoil(getattr(pair, which), 77_777)
    with pytest.raises(NotReplaced, match="bytes differ"):
        replace(step, log)
    assert not are_one(pair)
    assert litter(pair) == []


@pytest.mark.parametrize("which", ["kept", "copy"])
@pytest.mark.parametrize("how", ["hard link", "reflink"])
def test_a_file_that_changed_since_it_was_indexed_is_not_touched(
    pair: Twins, log: UndoLog, which: str, how: str
) -> None:
    step = pair.step(how)  # type: ignore[arg-type]
    file: Path = getattr(pair, which)
    file.write_bytes(b"new")
    with pytest.raises(StillChanging, match="changed"):
        replace(step, log)
    assert file.read_bytes() == b"new"
    file.unlink()
    with pytest.raises(StillChanging, match="removed"):
        replace(step, log)


@pytest.mark.parametrize("which", ["kept", "copy"])
def test_i7_a_file_that_changes_while_it_is_compared_is_not_touched(pair: Twins, log: UndoLog, which: str) -> None:
    with pytest.raises(StillChanging, match=getattr(pair, which).name):
        replace(pair.step(), log, progress=lambda _: os.utime(getattr(pair, which)))
    assert not are_one(pair)
    assert litter(pair) == []


def test_i7_a_file_that_somebody_has_open_for_writing_is_not_touched(pair: Twins, log: UndoLog) -> None:
    with open(pair.copy, "r+b") as writer:
        with pytest.raises(StillChanging, match="open for writing"):
            replace(pair.step(), log)
        writer.write(b"more")
    assert not are_one(pair)


class Meddling(Disk):
    """Somebody's new file takes the name in the last moment."""

    def __init__(self, pair: Twins, exchanging: bool) -> None:
        self.pair, self.exchanging, self.done = pair, exchanging, False

    def exchange(self, one: str, other: str, folder: int) -> None:
        if not self.done:
            (self.pair.copy.parent / "new").write_bytes(b"somebody's new file")
            os.replace(self.pair.copy.parent / "new", self.pair.copy)
            self.done = True
        if not self.exchanging:
            raise OSError(errno.EINVAL, "not here")
        super().exchange(one, other, folder)


@pytest.mark.parametrize("exchanging", [True, False])
def test_i7_a_file_that_took_the_name_in_the_last_moment_keeps_it(pair: Twins, log: UndoLog, exchanging: bool) -> None:
    with pytest.raises(StillChanging, match="exchanged"):
        replace(pair.step(), log, disk=Meddling(pair, exchanging))
    assert pair.copy.read_bytes() == b"somebody's new file"
    assert litter(pair) == []


def test_a_file_system_that_cannot_exchange_names_gets_a_rename(pair: Twins, log: UndoLog) -> None:
    disk = FaultyDisk("exchange", errno.EINVAL)
    replace(pair.step(), log, disk=disk)
    assert are_one(pair)
    assert disk.used["replace"] == 1
    assert litter(pair) == []


@pytest.mark.parametrize(
    ("call", "at", "code"), [("exchange", 1, errno.EIO), ("sync", 1, errno.EIO), ("exchange", 1, errno.ENOSPC)]
)
def test_c5_after_a_failure_of_the_disk_the_copy_is_what_it_was(
    pair: Twins, tmp_path: Path, call: str, at: int, code: int
) -> None:
    disk = FaultyDisk(call, code, at=at)
    with UndoLog(str(tmp_path / "undo.jsonl")) as log, pytest.raises((DiskUnavailable, NoSpace)):
        replace(pair.step(), log, disk=disk)
    assert not are_one(pair)
    assert pair.copy.stat().st_mtime_ns == OLD
    assert litter(pair) == []


def test_c5_a_new_file_is_never_thrown_away_although_the_disk_fails(pair: Twins, log: UndoLog) -> None:
    """It had taken the name, was exchanged away, and cannot be exchanged back."""

    class Worse(Meddling):
        def exchange(self, one: str, other: str, folder: int) -> None:
            if self.done:
                raise OSError(errno.EIO, "gone bad")
            super().exchange(one, other, folder)

    with pytest.raises(DiskUnavailable):
        replace(pair.step(), log, disk=Worse(pair, True))
    (left,) = litter(pair)
    assert (pair.copy.parent / left).read_bytes() == b"somebody's new file"


@pytest.mark.parametrize(("call", "at"), [("write", 1), ("sync", 2)])
def test_c4_without_a_log_on_the_disk_nothing_is_changed(pair: Twins, tmp_path: Path, call: str, at: int) -> None:
    disk = FaultyDisk(call, errno.EIO, at=at)
    with UndoLog(str(tmp_path / "undo.jsonl"), disk) as log, pytest.raises(DiskUnavailable, match=r"undo\.jsonl"):
        replace(pair.step(), log)
    assert not are_one(pair)


def test_two_names_of_one_file_are_left_alone(pair: Twins, log: UndoLog) -> None:
    step = pair.step()
    replace(step, log)
    with pytest.raises(NotReplaced, match="one file with"):
        replace(step, log)


def test_k3_a_link_is_not_replaced_and_neither_is_what_it_leads_to(pair: Twins, log: UndoLog) -> None:
    link = pair.copy.parent / "link.safetensors"
    link.symlink_to(pair.copy)
    step = but(pair.step(), copy=indexed(link))
    with pytest.raises(NotReplaced, match="symbolic link"):
        replace(step, log)
    assert link.is_symlink()
    assert not are_one(pair)


def test_a_kept_file_that_is_reached_by_a_link_gives_itself_and_not_the_link(pair: Twins, log: UndoLog) -> None:
    link = pair.kept.parent / "link.safetensors"
    link.symlink_to(pair.kept)
    replace(but(pair.step(), by=indexed(link)), log)
    assert are_one(pair)
    assert not pair.copy.is_symlink()


def test_h6_a_pipe_that_took_the_name_hangs_nobody(pair: Twins, log: UndoLog) -> None:
    step = pair.step()
    pair.copy.unlink()
    os.mkfifo(pair.copy)
    with pytest.raises(StillChanging):
        replace(step, log)


def test_k11_nobody_loses_the_right_to_read_a_model(pair: Twins, log: UndoLog) -> None:
    os.chmod(pair.kept, 0o600)
    with pytest.raises(NotReplaced, match="may not read"):
        replace(pair.step(), log)
    os.chmod(pair.kept, 0o640)
    replace(pair.step(), log)
    assert are_one(pair)


@pytest.mark.needs("root")
def test_k11_the_same_mode_for_another_owner_is_another_right(pair: Twins, log: UndoLog) -> None:
    os.chmod(pair.kept, 0o640)
    os.chown(pair.copy, 65534, 65534)
    with pytest.raises(NotReplaced, match="may not read"):
        replace(pair.step(), log)


@pytest.mark.needs("root")
def test_k11_without_rights_in_the_directory_it_is_refused_by_reason(pair: Twins, tmp_path: Path) -> None:
    for place in (*pair.copy.parents, pair.copy.parent, pair.kept.parent):
        os.chmod(place, place.stat().st_mode | 0o055)
    for file in (pair.copy, pair.kept):
        os.chmod(file, 0o644)
    step, logs = pair.step(), tmp_path / "logs"
    logs.mkdir()
    os.chmod(logs, 0o777)

    def work() -> None:
        with UndoLog(str(logs / "undo.jsonl")) as log, pytest.raises(NotReplaced, match="no hard link can be made"):
            replace(step, log)

    as_nobody(work)
    assert not are_one(pair)


@pytest.mark.parametrize("how", ["hard link", "reflink"])
def test_it_can_be_stopped(pair: Twins, log: UndoLog, how: str) -> None:
    with pytest.raises(Stopped):
        replace(pair.step(how), log, cancelled=lambda: True)  # type: ignore[arg-type]
    assert not are_one(pair)


def test_without_leases_the_fingerprints_decide(pair: Twins, log: UndoLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EACCES, "not yours")

    monkeypatch.setattr(deduplicating.fcntl, "fcntl", refused)
    replace(pair.step(), log)
    assert are_one(pair)


def test_a_very_long_name_has_room_for_its_draft(pair: Twins, log: UndoLog) -> None:
    long = pair.copy.rename(pair.copy.parent / ("ä" * 120 + ".gguf"))
    replace(Replacement(copy=indexed(long), by=indexed(pair.kept), how="hard link"), log)
    assert os.path.samefile(long, pair.kept)


KILLED = """
import sys
from pathlib import Path
from model_manager.library.duplicates.deduplicating import Replacement, replace
from model_manager.library.duplicates.undoing import UndoLog
from tests.library.twins import indexed
copy, kept, log = map(Path, sys.argv[1:])
with UndoLog(str(log)) as undo:
    replace(Replacement(copy=indexed(copy), by=indexed(kept), how="hard link"), undo)
"""


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    "call", ["fsync:when=2", "linkat:when=1", "renameat2:when=1", "fsync:when=3", "unlinkat:when=1"]
)
def test_d6_killed_anywhere_the_copy_is_whole_and_undoing_clears_up(tmp_path: Path, call: str) -> None:
    pair, log = twins(tmp_path / "models"), tmp_path / "undo.jsonl"
    name, when = call.split(":")
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={name}:signal=SIGKILL:{when}"]
    watched = ["-P", str(pair.copy.parent), "-P", str(log), "-P", str(tmp_path)]
    run = subprocess.run(
        [*trace, *watched, sys.executable, "-c", KILLED, pair.copy, pair.kept, log], check=False, capture_output=True
    )
    assert run.returncode in (-9, 128 + 9), run.stderr
    assert pair.copy.read_bytes() == pair.data
    assert pair.kept.read_bytes() == pair.data
    for _ in range(2):
        list(undo(str(log)))
        assert not are_one(pair)
        assert (pair.copy.read_bytes(), pair.copy.stat().st_mtime_ns) == (pair.data, OLD)
        assert pair.copy.stat().st_mode & 0o777 == 0o640
        assert litter(pair) == []
