from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable
from model_manager.facts.device import Device, DeviceKind
from model_manager.library import devices
from model_manager.library.devices import device_of


class Kernel:
    """A /proc and a /sys that say what a test wants, of one mount that every path is on."""

    def __init__(self, home: Path) -> None:
        self.proc, self.sys = home / "proc", home / "sys"
        (self.proc / "fdinfo").mkdir(parents=True)
        (self.sys / "dev" / "block").mkdir(parents=True)

    def mount(self, kind: str, source: str, number: str = "8:1") -> None:
        (self.proc / "mountinfo").write_text(
            "28 1 0:25 / /proc rw - proc proc rw\n"
            f"29 1 {number} / /models\\040here rw,relatime shared:1 master:2 - {kind} {source} rw,a=b\n"
        )
        for fd in range(200):
            (self.proc / "fdinfo" / str(fd)).write_text("pos:\t0\nflags:\t012100000\nmnt_id:\t29\nino:\t7\n")

    def disk(self, name: str, rotational: str = "", *, number: str, **device: str) -> Path:
        place = self.sys / "devices" / "block" / name
        (place / "queue").mkdir(parents=True)
        if rotational:
            (place / "queue" / "rotational").write_text(f"{rotational}\n")
        (place / "device").mkdir()
        for file, text in device.items():
            (place / "device" / file).write_text(f"{text}\n")
        return self.numbered(place, number)

    def part(self, disk: Path, name: str, number: str) -> Path:
        (disk / name).mkdir()
        (disk / name / "partition").write_text("1\n")
        return self.numbered(disk / name, number)

    def above(self, name: str, *below: Path, number: str) -> Path:
        """A volume or array, whose own word on rotation is not asked."""
        place = self.disk(name, "1", number=number)
        (place / "slaves").mkdir()
        for one in below:
            (place / "slaves" / one.name).symlink_to(one)
        return place

    def numbered(self, place: Path, number: str) -> Path:
        (self.sys / "dev" / "block" / number).symlink_to(place)
        return place

    def found(self, path: Path) -> Device:
        return device_of(str(path), proc=str(self.proc), sys=str(self.sys))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "kernel")


@pytest.mark.parametrize(("flag", "kind"), [("0", "ssd"), ("1", "rotational"), ("", "unknown"), ("?", "unknown")])
def test_a_disk_says_whether_it_turns(kernel: Kernel, tmp_path: Path, flag: str, kind: DeviceKind) -> None:
    kernel.mount("ext4", "/dev/sda1")
    kernel.part(kernel.disk("sda", flag, number="8:0", vendor="ATA", model="ST4000"), "sda1", "8:1")
    assert kernel.found(tmp_path) == Device(name="sda", kind=kind)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vda", {}),
        ("xvdb", {}),
        ("sda", {"vendor": "QEMU", "model": "QEMU HARDDISK"}),
        ("sda", {"vendor": "VMware", "model": "Virtual disk"}),
        ("sda", {"vendor": "Google", "model": "PersistentDisk"}),
        ("sda", {"vendor": "Msft", "model": "Virtual Disk"}),
    ],
)
def test_a_virtual_disk_that_says_it_turns_is_not_believed(
    kernel: Kernel, tmp_path: Path, name: str, told: dict[str, str]
) -> None:
    kernel.mount("ext4", f"/dev/{name}", "8:0")
    kernel.disk(name, "1", number="8:0", **told)
    assert kernel.found(tmp_path) == Device(name=name, kind="unknown")


@pytest.mark.parametrize(
    ("flags", "kind"),
    [(("0", "0"), "ssd"), (("0", "1"), "rotational"), (("0", ""), "unknown"), (("1", ""), "rotational")],
)
def test_volumes_and_arrays_are_the_disks_below_them(
    kernel: Kernel, tmp_path: Path, flags: tuple[str, str], kind: DeviceKind
) -> None:
    kernel.mount("xfs", "/dev/mapper/vg-models", "253:0")
    one = kernel.part(kernel.disk("sda", flags[0], number="8:0"), "sda1", "8:1")
    other = kernel.disk("sdb", flags[1], number="8:16")
    array = kernel.above("md0", other, one, number="9:0")
    kernel.above("dm-0", array, number="253:0")
    assert kernel.found(tmp_path) == Device(name="sda+sdb", kind=kind)


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.rclone", "fuse.s3fs"],
)
def test_a_network_mount_is_known_by_its_export(kernel: Kernel, tmp_path: Path, kind: str) -> None:
    kernel.mount(kind, "nas:/my\\040models", "0:45")
    assert kernel.found(tmp_path) == Device(name="nas:/my models", kind="network")


def test_memory_and_a_containers_file_system_are_what_they_are(kernel: Kernel, tmp_path: Path) -> None:
    own = os.stat(tmp_path).st_dev
    kernel.mount("tmpfs", "tmpfs", "0:45")
    assert kernel.found(tmp_path).kind == "memory"
    kernel.mount("overlay", "overlay", "0:45")
    assert kernel.found(tmp_path) == Device(name=f"{os.major(own)}:{os.minor(own)}", kind="overlay")


@pytest.mark.parametrize("kind", ["zfs", "fuse.mergerfs", "fuse", "something new"])
def test_what_does_not_say_where_it_lies_is_unknown(kernel: Kernel, tmp_path: Path, kind: str) -> None:
    kernel.mount(kind.replace(" ", "_"), "pool/models", "0:45")
    assert kernel.found(tmp_path).kind == "unknown"


def test_btrfs_lies_on_the_disk_that_was_mounted(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have a number that no disk has."""

    class Disk:
        st_mode, st_rdev = 0o060600, os.makedev(8, 0)

    real = os.stat
    monkeypatch.setattr(devices.os, "stat", lambda path, **more: Disk if path == "/dev/sda" else real(path, **more))
    kernel.mount("btrfs", "/dev/sda", "0:45")
    kernel.disk("sda", "1", number="8:0")
    assert kernel.found(tmp_path) == Device(name="sda", kind="rotational")
    kernel.mount("btrfs", "/dev/not-in-this-container", "0:45")
    assert kernel.found(tmp_path).kind == "unknown"


def test_volumes_that_name_each_other_are_no_endless_walk(kernel: Kernel, tmp_path: Path) -> None:
    kernel.mount("ext4", "/dev/dm-0", "253:0")
    one = kernel.above("dm-0", number="253:0")
    other = kernel.above("dm-1", one, number="253:1")
    (one / "slaves" / "dm-1").symlink_to(other)
    assert kernel.found(tmp_path).name.startswith("dm-")


def test_without_proc_and_sys_everything_is_unknown(tmp_path: Path) -> None:
    found = device_of(str(tmp_path), proc=str(tmp_path / "none"), sys=str(tmp_path / "none"))
    number = os.stat(tmp_path).st_dev
    assert found == Device(name=f"{os.major(number)}:{os.minor(number)}", kind="unknown")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable, match="No such file"):
        device_of(str(tmp_path / "missing"))


def test_this_machine_answers(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x")
    assert device_of(str(file)) == device_of(str(tmp_path))
    if os.path.ismount("/dev/shm"):
        assert device_of("/dev/shm").kind == "memory"
