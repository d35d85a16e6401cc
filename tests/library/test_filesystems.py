from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from model_manager.library import filesystems
from model_manager.library.filesystems import identity
from model_manager.library.volume import Volume

VOLUMES = """NV SERVER   PORT DEV          FSID                              FSC
v4 0a000001  801 0:{minor}        c3a1:9f                           no
v3 0a000002  801 0:9          0:0                               no
"""


def test_the_same_place_has_the_same_name_and_its_device_number(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    device, name = identity(str(tmp_path / "x"))
    assert device == tmp_path.stat().st_dev
    assert identity(str(tmp_path)) == (device, name)


@pytest.mark.needs("loop")
@pytest.mark.parametrize("again", [True, False])
def test_a_volume_keeps_its_name_in_another_mount_and_another_one_has_another(tmp_path: Path, again: bool) -> None:
    names = []
    for number in (0, 0 if again else 1):
        image, point = tmp_path / f"{number}.img", tmp_path / f"at{len(names)}"
        point.mkdir()
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(8_000_000)
            subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True, capture_output=True)
        try:
            names.append(identity(str(point)))
        finally:
            subprocess.run(["umount", str(point)], check=True, capture_output=True)
    assert names[0][1].startswith("ext4 ")
    assert (names[0][1] == names[1][1]) is again


def test_a_network_mount_is_known_by_its_server_and_the_servers_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "volumes"
    listed.write_text(VOLUMES.format(minor=os.minor(7)))
    monkeypatch.setattr(filesystems, "volume_of", lambda _fd: Volume(kind=""))
    monkeypatch.setattr(filesystems, "_uuid", lambda _fd: "")
    assert filesystems._nfs(os.makedev(0, 7), str(listed)) == "nfs 0a000001 c3a1:9f"
    assert filesystems._nfs(os.makedev(0, 9), str(listed)) == ""
    assert filesystems._nfs(os.makedev(0, 8), str(listed)) == ""
    assert identity(str(tmp_path), nfs=str(tmp_path / "none"))[1] == ""


def test_layers_have_no_name_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "volume_of", lambda _fd: Volume(kind="overlay"))
    monkeypatch.setattr(filesystems, "_uuid", lambda _fd: "ab")
    assert identity(str(tmp_path), nfs=str(tmp_path / "none"))[1] == ""
