from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable, ModelManagerError, NoInodes, NoSpace
from model_manager.library.disk import Disk, opened, reason, translating, write_all, write_new, write_whole
from tests.library.faulty import FaultyDisk

ERRNOS = sorted(errno.errorcode)


@pytest.fixture
def folder(tmp_path: Path):
    with opened(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY) as fd:
        yield fd


@pytest.mark.parametrize("code", ERRNOS, ids=[errno.errorcode[code] for code in ERRNOS])
def test_every_error_of_the_system_becomes_one_of_ours(code: int, tmp_path: Path) -> None:
    with pytest.raises(ModelManagerError) as caught, translating(str(tmp_path / "x"), "write"):
        raise OSError(code, os.strerror(code))
    full = code in (errno.ENOSPC, errno.EDQUOT)
    assert isinstance(caught.value, NoSpace if full else DiskUnavailable)
    assert str(tmp_path) in str(caught.value)


def test_an_error_without_a_text_still_has_a_reason() -> None:
    assert "OSError" in str(reason(OSError(), "/x", "read"))


def test_rename_never_replaces(tmp_path: Path, folder: int) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "theirs").write_text("theirs")
    with pytest.raises(FileExistsError):
        Disk().rename("new", "theirs", old_folder=folder, new_folder=folder)
    assert (tmp_path / "theirs").read_text() == "theirs"
    Disk().rename("new", "free", old_folder=folder, new_folder=folder)
    assert (tmp_path / "free").read_text() == "new"


@pytest.mark.needs("strace")
def test_rename_never_replaces_on_file_systems_without_the_flag(tmp_path: Path) -> None:
    for name in ("new", "theirs"):
        (tmp_path / name).write_text(name)
    program = (
        "import os, sys\n"
        "from model_manager.library.disk import Disk\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "Disk().rename('new', 'free', old_folder=fd, new_folder=fd)\n"
        "os.rename('free', 'new', src_dir_fd=fd, dst_dir_fd=fd)\n"
        "try:\n    Disk().rename('new', 'theirs', old_folder=fd, new_folder=fd)\n"
        "except FileExistsError:\n    print('refused')\n"
    )
    inject = ["strace", "-f", "-o", "/dev/null", "-e", "inject=renameat2:error=EINVAL"]
    run = subprocess.run([*inject, sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout == "refused\n"
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_writing_goes_on_until_every_byte_is_taken(tmp_path: Path) -> None:
    disk = FaultyDisk(taking=3)
    with opened(str(tmp_path / "x"), os.O_WRONLY | os.O_CREAT) as fd:
        assert write_all(disk, fd, b"0123456789") == 10
    assert (tmp_path / "x").read_bytes() == b"0123456789"
    assert disk.used["write"] == 4


def test_a_disk_that_takes_nothing_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    with opened(str(tmp_path / "x"), os.O_WRONLY | os.O_CREAT) as fd, pytest.raises(OSError):
        write_all(FaultyDisk(taking=0), fd, b"x")


@pytest.mark.parametrize(("call", "at"), [("write", 1), ("sync", 1), ("replace", 1)], ids=["write", "sync", "replace"])
def test_a_small_file_is_the_old_one_or_the_new_one(tmp_path: Path, folder: int, call: str, at: int) -> None:
    write_whole(Disk(), folder, "x", b"old", 0o600)
    with pytest.raises(OSError):
        write_whole(FaultyDisk(call, errno.EIO, at=at), folder, "x", b"new", 0o600)
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_small_file_has_its_mode_under_any_umask(tmp_path: Path, folder: int) -> None:
    before = os.umask(0o077)
    try:
        write_whole(Disk(), folder, "x", b"", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o644


@pytest.mark.needs("tmpfs")
def test_c3_no_inodes_left_is_said_as_such(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "where = sys.argv[1]\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m,nr_inodes=8', 'none', where], check=True)\n"
        "from model_manager.library.disk import translating\n"
        "from model_manager.errors import NoInodes\n"
        "try:\n"
        "    for n in range(20):\n"
        "        with translating(f'{where}/{n}', 'create'):\n"
        "            open(f'{where}/{n}', 'x').close()\n"
        "except NoInodes as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert "inodes" in run.stdout
    assert issubclass(NoInodes, NoSpace)


def test_a_new_file_takes_nobodys_name(tmp_path: Path, folder: int) -> None:
    write_new(Disk(), folder, "x", b"first", 0o600)
    with pytest.raises(FileExistsError):
        write_new(Disk(), folder, "x", b"second", 0o600)
    assert (tmp_path / "x").read_bytes() == b"first"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_c1_a_new_file_that_found_no_room_is_not_there(tmp_path: Path, folder: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_new(FaultyDisk("write", errno.ENOSPC), folder, "x", b"data", 0o600)
    assert not (tmp_path / "x").exists()
