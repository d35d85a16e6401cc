from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import AlreadyRunning, DiskUnavailable
from model_manager.library.disk import Disk
from model_manager.library.incoming.ledger import Ledger, entered
from model_manager.library.incoming.staging import part_name
from tests.library.faulty import FaultyDisk
from tests.library.shelves import FLUX, own_root, put, staging


def write_down(directory: str, size: int, extents: tuple[tuple[int, int], ...]) -> None:
    ledger, fd = entered(directory, FLUX, Disk())
    os.pwrite(fd, b"x" * size, 0)
    ledger.note(lambda known: replace(known, extents=extents))
    leave(ledger, fd)


def leave(ledger: Ledger, fd: int) -> None:
    os.close(fd)
    ledger.close()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return staging(own_root(tmp_path / "models"))


def test_d1_the_file_is_cut_behind_what_is_written_down(directory: str) -> None:
    write_down(directory, 100, ((0, 10), (20, 30)))
    ledger, fd = entered(directory, FLUX, Disk())
    assert ledger.journal.extents == ((0, 10), (20, 30))
    assert os.fstat(fd).st_size == 30
    leave(ledger, fd)


def test_a_file_that_is_shorter_than_what_is_written_down_has_nothing(directory: str) -> None:
    write_down(directory, 25, ((0, 10), (20, 30)))
    ledger, fd = entered(directory, FLUX, Disk())
    assert ledger.journal.extents == ()
    assert os.fstat(fd).st_size == 0
    leave(ledger, fd)


def test_i2_who_entered_last_goes_on(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda fd, how: None)
    first, second = entered(directory, FLUX, Disk()), entered(directory, FLUX, Disk())
    first[0].note(lambda known: known)
    second[0].note(lambda known: known)
    second[0].insist_ours()
    with pytest.raises(AlreadyRunning):
        first[0].insist_ours()
    leave(*first)
    leave(*second)


def test_what_could_not_be_written_down_does_not_count(directory: str) -> None:
    ledger, fd = entered(directory, FLUX, FaultyDisk("replace", errno.EIO))
    with pytest.raises(DiskUnavailable):
        ledger.note(lambda known: replace(known, extents=((0, 5),)))
    assert ledger.journal.extents == ()
    leave(ledger, fd)


def test_removing_takes_both_and_may_be_repeated(directory: str) -> None:
    ledger, fd = entered(directory, FLUX, Disk())
    ledger.note(lambda known: known)
    other = put(Path(directory, "other.part"))
    ledger.remove()
    ledger.remove()
    assert os.listdir(directory) == [other.name]
    assert part_name(FLUX) != other.name
    leave(ledger, fd)
