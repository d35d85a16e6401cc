from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.errors import AlreadyRunning, DiskUnavailable, NoSpace, NotReplaced, Stopped
from model_manager.library.disk import Disk, fingerprint
from model_manager.library.duplicates.deduplicating import replace
from model_manager.library.duplicates.undoing import Failed, Left, UndoLog, Undone, tidy, undo
from tests.library.duplicates.test_blocks import SHARING
from tests.library.faulty import FaultyDisk
from tests.library.test_sharing import free, sync, volume
from tests.library.twins import OLD, Twins, are_one, litter, twins
from tests.stories.volumes import Balloon


@pytest.fixture
def pair(tmp_path: Path) -> Twins:
    return twins(tmp_path / "models")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "undo.jsonl")


@pytest.fixture
def linked(pair: Twins, file: str) -> Iterator[Twins]:
    """One that was replaced, with a log of it."""
    with UndoLog(file) as log:
        replace(pair.step(), log)
    return pair


def insist_as_before(pair: Twins) -> None:
    assert not are_one(pair)
    assert pair.copy.read_bytes() == pair.data
    assert pair.copy.stat().st_mtime_ns == OLD
    assert pair.copy.stat().st_mode & 0o7777 == 0o640
    assert litter(pair) == []


def test_a_hard_link_becomes_a_file_of_its_own_again_with_its_mode_and_time(linked: Twins, file: str) -> None:
    assert list(undo(file)) == [Undone(file=str(linked.copy))]
    insist_as_before(linked)


def test_undoing_twice_changes_nothing_the_second_time(linked: Twins, file: str) -> None:
    list(undo(file))
    calm = fingerprint(linked.copy.stat())
    (left,) = undo(file)
    assert isinstance(left, Left)
    assert "not the link that was made" in left.why
    assert fingerprint(linked.copy.stat()) == calm


@pytest.mark.needs("root")
def test_owner_and_attributes_come_back(pair: Twins, file: str) -> None:
    os.chown(pair.copy, 65534, 65533)
    os.setxattr(pair.copy, "user.note", b"\x00mine")
    with UndoLog(file) as log:
        replace(pair.step(), log)
    assert pair.copy.stat().st_uid == 0
    list(undo(file))
    assert (pair.copy.stat().st_uid, pair.copy.stat().st_gid) == (65534, 65533)
    assert os.getxattr(pair.copy, "user.note") == b"\x00mine"


@pytest.mark.parametrize("kind", SHARING)
def test_where_blocks_can_be_shared_undoing_takes_no_space(tmp_path: Path, file: str, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        pair = twins(point, 24 << 20)
        with UndoLog(file) as log:
            replace(pair.step(), log)
        sync(point)
        before = free(point)
        list(undo(file))
        insist_as_before(pair)
        assert before - free(point) < 4 << 20


@pytest.mark.parametrize("kind", SHARING)
def test_shared_blocks_need_no_undoing(tmp_path: Path, file: str, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        pair = twins(point)
        with UndoLog(file) as log:
            replace(pair.step("reflink"), log)
        (left,) = undo(file)
        assert isinstance(left, Left)
        assert "only shares blocks" in left.why
        insist_as_before(pair)


def test_the_last_change_is_undone_first(tmp_path: Path, file: str) -> None:
    pairs = [twins(tmp_path / name) for name in ("one", "two")]
    with UndoLog(file) as log:
        for pair in pairs:
            replace(pair.step(), log)
    assert [answer.file for answer in undo(file)] == [str(pair.copy) for pair in reversed(pairs)]


def test_a_log_goes_on_in_a_second_run_after_a_torn_line(pair: Twins, file: str) -> None:
    Path(file).write_bytes(b'{"how": "hard li')
    with UndoLog(file) as log:
        replace(pair.step(), log)
    undone, torn = undo(file)
    assert undone == Undone(file=str(pair.copy))
    assert isinstance(torn, Left)
    assert "line 1 of" in torn.why
    insist_as_before(pair)


@pytest.mark.parametrize(
    "line",
    [b"null", b"[]", b"7", b'"x"', b"{}", b'{"how":"burn","was":{}}', b'{"was":7,"how":"reflink"}', b"[" * 5000, b"\xff\x00", b"x" * 3_000_000],
    ids=range(10),
)  # fmt: skip
def test_a_damaged_log_is_told_and_harms_nothing(linked: Twins, file: str, line: bytes) -> None:
    with open(file, "ab") as handle:
        handle.write(b"\n" + line + b"\n")
    answers = list(undo(file))
    assert answers[-1] == Undone(file=str(linked.copy))
    assert all(isinstance(answer, Left) for answer in answers[:-1])
    assert len(answers) > 1


def test_k7_a_log_cannot_name_a_draft_elsewhere(linked: Twins, file: str, tmp_path: Path) -> None:
    body = json.loads(Path(file).read_text())
    Path(file).write_text(json.dumps({**body, "draft": "../store/a.safetensors"}) + "\n")
    (left,) = undo(file)
    assert isinstance(left, Left)
    assert linked.kept.exists()


def test_a_file_that_took_the_name_since_is_left_alone(linked: Twins, file: str) -> None:
    linked.copy.unlink()
    linked.copy.write_bytes(b"new")
    (left,) = undo(file)
    assert isinstance(left, Left)
    assert linked.copy.read_bytes() == b"new"
    linked.copy.unlink()
    assert isinstance(*undo(file), Left)


def test_bytes_that_changed_under_both_names_stay_and_it_is_said(linked: Twins, file: str) -> None:
    with open(linked.kept, "r+b") as handle:
        handle.write(b"changed")
    now = linked.kept.stat().st_mtime_ns
    (undone,) = undo(file)
    assert isinstance(undone, Undone)
    assert "changed since" in undone.note
    assert not are_one(linked)
    assert linked.copy.read_bytes()[:7] == b"changed"
    assert linked.copy.stat().st_mtime_ns == now


@pytest.mark.parametrize("how", ["changed", "replaced"])
def test_i7_a_file_that_changes_while_it_is_undone_is_left_alone(linked: Twins, file: str, how: str) -> None:
    class Meddling(Disk):
        def sync(self, fd: int) -> None:
            super().sync(fd)
            if how == "changed":
                os.utime(linked.copy)
            else:
                linked.copy.unlink()
                linked.copy.write_bytes(b"new")

    (failed,) = undo(file, disk=Meddling())
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, NotReplaced)
    assert linked.copy.read_bytes() == (linked.data if how == "changed" else b"new")
    assert litter(linked) == []


def test_a_kept_file_that_was_removed_since_takes_nothing_along(linked: Twins, file: str) -> None:
    linked.kept.unlink()
    assert list(undo(file)) == [Undone(file=str(linked.copy))]
    assert linked.copy.read_bytes() == linked.data
    assert linked.copy.stat().st_mtime_ns == OLD


@pytest.mark.parametrize(("call", "at"), [("write", 1), ("sync", 1), ("replace", 1)])
def test_c5_after_a_failure_of_the_disk_it_is_still_linked_and_undone_later(
    linked: Twins, file: str, call: str, at: int
) -> None:
    (failed,) = undo(file, disk=FaultyDisk(call, errno.EIO, at=at))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DiskUnavailable)
    assert are_one(linked)
    assert litter(linked) == []
    list(undo(file))
    insist_as_before(linked)


@pytest.mark.needs("loop")
def test_c1_without_space_nothing_is_lost_and_it_is_undone_when_there_is_some(tmp_path: Path, file: str) -> None:
    with volume("ext4", tmp_path) as point:
        pair = twins(point, 8 << 20)
        with UndoLog(file) as log:
            replace(pair.step(), log)
        balloon = Balloon(point)
        balloon.blow(leaving=2 << 20)
        (failed,) = undo(file)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, NoSpace)
        assert are_one(pair)
        assert litter(pair) == []
        balloon.pop()
        list(undo(file))
        insist_as_before(pair)


@pytest.mark.needs("loop")
def test_undoing_can_be_stopped_and_goes_on(tmp_path: Path, file: str) -> None:
    with volume("ext4", tmp_path) as point:
        pair = twins(point)
        with UndoLog(file) as log:
            replace(pair.step(), log)
        with pytest.raises(Stopped):
            list(undo(file, cancelled=lambda: True))
        assert are_one(pair)
        assert litter(pair) == []
        list(undo(file))
        insist_as_before(pair)


def test_i1_a_log_has_one_writer(file: str) -> None:
    with UndoLog(file):
        with pytest.raises(AlreadyRunning):
            UndoLog(file)
        with pytest.raises(AlreadyRunning):
            list(undo(file))


def test_a_log_is_private_and_no_link_is_followed(tmp_path: Path, file: str) -> None:
    with UndoLog(file):
        assert os.stat(file).st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskUnavailable):
        UndoLog(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_log_that_is_not_there_cannot_be_undone(file: str) -> None:
    with pytest.raises(DiskUnavailable):
        list(undo(file))


def test_a_directory_that_is_away_does_not_keep_the_others_from_being_undone(tmp_path: Path, file: str) -> None:
    first, second = twins(tmp_path / "one"), twins(tmp_path / "two")
    with UndoLog(file) as log:
        replace(first.step(), log)
        replace(second.step(), log)
    (tmp_path / "two" / "web").rename(tmp_path / "away")
    left, undone = undo(file)
    assert isinstance(left, Left)
    assert "mount or restore it" in left.why
    assert undone == Undone(file=str(first.copy))


@pytest.mark.parametrize("which", ["link", "old file"])
def test_d6_what_a_crash_left_is_removed_and_the_change_stays(linked: Twins, file: str, which: str) -> None:
    """A crash before the exchange leaves a second link, one after it the old file."""
    body = json.loads(Path(file).read_text())
    draft = linked.copy.parent / body["draft"]
    if which == "link":
        os.link(linked.kept, draft)
    else:
        draft.write_bytes(linked.data)
        os.utime(draft, ns=(OLD, OLD))
        Path(file).write_text(json.dumps({**body, "was": {**body["was"], "inode": draft.stat().st_ino}}))
    assert tidy(file) == (str(draft),)
    assert are_one(linked)
    assert litter(linked) == []
    assert tidy(file) == ()


def test_d6_a_strangers_file_is_not_tidied_away(linked: Twins, file: str) -> None:
    draft = linked.copy.parent / json.loads(Path(file).read_text())["draft"]
    draft.write_bytes(b"mine")
    assert tidy(file) == ()
    assert draft.read_bytes() == b"mine"


def test_the_number_of_a_removed_file_proves_nothing(linked: Twins, file: str) -> None:
    """The file system gives a new file the number of one that was removed."""
    inode = linked.kept.stat().st_ino
    linked.kept.unlink()
    linked.copy.write_bytes(b"written anew, in place of both")
    assert linked.copy.stat().st_ino == inode
    (left,) = undo(file)
    assert isinstance(left, Left)
    assert linked.copy.read_bytes() == b"written anew, in place of both"
