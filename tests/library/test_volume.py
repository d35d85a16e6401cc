from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.library.disk import opened
from model_manager.library.volume import facts_of, first_hole, kind_of, volume_of

NFS, ZFS = 0x6969, 0x2FC12FC1


@pytest.mark.parametrize(("magic", "kind"), [(0xEF53, "ext4"), (-0x6EDC97C2, "btrfs"), (NFS, ""), (ZFS, ""), (0, "")])
def test_a_kind_is_known_by_the_number_of_its_superblock(magic: int, kind: str) -> None:
    assert kind_of(magic) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph", "", "zfs", "unheard-of"])
def test_what_a_server_or_nobody_answers_for_is_written_plainly_and_read_back(kind: str) -> None:
    volume = facts_of(kind)
    assert (volume.direct, volume.preallocate, volume.holes) == (False, False, False)


def test_each_local_kind_gets_what_it_can() -> None:
    assert facts_of("ext4").direct
    assert facts_of("xfs").preallocate
    assert not facts_of("btrfs").preallocate
    assert facts_of("btrfs").holes
    assert not facts_of("tmpfs").drop


@pytest.mark.needs("tmpfs")
def test_a_file_on_tmpfs_is_seen_as_such(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'none', sys.argv[1]], check=True)\n"
        "from model_manager.library.volume import volume_of\n"
        "print(volume_of(os.open(f'{sys.argv[1]}/x', os.O_CREAT | os.O_RDWR)).kind)\n"
    )
    run = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert run.stdout == "tmpfs\n"


def test_a_descriptor_that_is_not_open_has_a_plain_volume() -> None:
    assert volume_of(1 << 20) == facts_of("")


def test_the_first_hole_is_where_nothing_was_written(tmp_path: Path) -> None:
    with opened(str(tmp_path / "x"), os.O_RDWR | os.O_CREAT) as fd:
        assert first_hole(fd, 0) == 0
        os.pwrite(fd, b"x" * 8192, 0)
        assert first_hole(fd, 8192) == 8192
        os.pwrite(fd, b"x" * 8192, 1 << 20)
        assert first_hole(fd, (1 << 20) + 8192) <= 1 << 20
        assert first_hole(fd, 8192) == 8192
