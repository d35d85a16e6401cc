from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.library.mounts import _kind, _mounts, remote_part
from tests.library.shelves import put

MOUNTS = b"""22 1 259:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:30 / /mnt/my\\040disk rw - fuse.sshfs host: rw
31 22 0:31 / /mnt/models rw - nfs4 host:/m rw
32 31 0:32 / /mnt/models/local rw master:7 - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/models", "nfs4"), ("/mnt/models/local/x", "xfs"), ("/mnt/models-evil", "ext4"),
        ("/mnt/my disk/x", "fuse.sshfs"),
    ],
)  # fmt: skip
def test_the_file_system_of_a_path(tmp_path: Path, path: str, kind: str) -> None:
    assert _kind(path, _mounts(str(put(tmp_path / "mounts", MOUNTS)))) == kind


def test_without_the_kernels_list_no_file_system_is_known(tmp_path: Path) -> None:
    assert _kind("/", _mounts(str(tmp_path / "missing"))) == ""
    assert _kind("/", _mounts("/proc/self/mountinfo")) != ""


def tree(tmp_path: Path, *lines: str) -> tuple[list[str], str]:
    """A root, and a list of mounts with these besides the disk below everything."""
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "nas").mkdir()
    disk = "22 1 259:0 / / rw - ext4 /dev/root rw"
    mounts = put(tmp_path / "mounts", "\n".join((disk, *lines)).encode())
    return [str(tmp_path / "models")], str(mounts)


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        ("nfs4", True), ("cifs", True), ("smb3", True), ("fuse.sshfs", True), ("9p", True), ("fuseblk", False),
        ("xfs", False), ("overlay", False), ("tmpfs", False),
    ],
)  # fmt: skip
def test_h2_network_file_systems_are_known_by_their_type(tmp_path: Path, kind: str, remote: bool) -> None:
    roots, mounts = tree(tmp_path, f"30 22 0:30 / {tmp_path}/models rw - {kind} somewhere rw")
    assert bool(remote_part(roots, mounts)) is remote


def test_h2_a_mount_below_a_root_is_a_part_of_it(tmp_path: Path) -> None:
    roots, mounts = tree(tmp_path, f"30 22 0:30 / {tmp_path}/models/loras rw - nfs4 nas:/loras rw")
    assert remote_part(roots, mounts) == f"{tmp_path}/models/loras is on a network file system (nfs4)"
    assert remote_part([str(tmp_path / "nas")], mounts) == ""


def test_h2_a_directory_that_is_linked_into_a_root_is_a_part_of_it(tmp_path: Path) -> None:
    roots, mounts = tree(tmp_path, f"30 22 0:30 / {tmp_path}/nas rw - cifs //nas/models rw")
    assert remote_part(roots, mounts) == ""
    (tmp_path / "models" / "loras" / "linked").symlink_to(tmp_path / "nas")
    assert "loras/linked is on a network file system (cifs)" in remote_part(roots, mounts)


def test_c10_a_root_that_is_not_there_is_on_the_disk_below_it(tmp_path: Path) -> None:
    roots, mounts = tree(tmp_path)
    assert remote_part([*roots, str(tmp_path / "missing")], mounts) == ""
