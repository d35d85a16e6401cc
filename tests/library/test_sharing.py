"""A second name for bytes that are here, on real file systems: shared blocks, a hard link, or a copy that is read back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_manager.errors import Corrupt
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath
from model_manager.library.contents.hashing import digest_file
from model_manager.library.disk import Disk
from model_manager.library.incoming.placing import link
from tests.library.shelves import own_root, put
from tests.stories.volumes import mount, tmpfs, unmount

DEEP = ShelfPath(folder="loras", name="SD15/anime/x.safetensors")
SIZE = 24 << 20
MEGABYTES = {"xfs": 320, "btrfs": 160, "ext4": 64}
"""Of an image, sparse: the least that each is made on, and room for one file but not for two on ext4."""


@contextmanager
def volume(kind: str, directory: Path) -> Iterator[Path]:
    image, point = directory / f"{kind}.img", directory / kind
    with image.open("wb") as file:
        file.truncate(MEGABYTES[kind] << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True, timeout=60)
    point.mkdir()
    mount("-o", "loop", str(image), str(point))
    try:
        yield point
    finally:
        unmount(point)


def put_random(file: Path) -> tuple[str, Fingerprint, Digests]:
    put(file, os.urandom(SIZE))
    sync(file.parent)
    return str(file), *digest_file(str(file))


def sync(place: Path) -> None:
    """Its file system alone."""
    subprocess.run(["sync", "-f", str(place)], check=True, timeout=60)


def free(point: Path) -> int:
    sync(point)
    state = os.statvfs(point)
    return state.f_bavail * state.f_frsize


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("xfs", marks=pytest.mark.needs("mkfs.xfs")),
        pytest.param("btrfs", marks=pytest.mark.needs("mkfs.btrfs")),
    ],
)
def test_i3_where_blocks_can_be_shared_two_files_take_the_room_of_one(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        root = own_root(point / "models")
        file, calm, digests = put_random(point / "models" / "vae" / "a.safetensors")
        before = free(point)
        placed = link(file, calm, digests, root, DEEP)
        assert placed.inode != calm.inode
        assert digest_file(str(Path(root.path, str(DEEP))))[1] == digests
        assert before - free(point) < SIZE // 4

        with open(file, "r+b") as changed:
            changed.write(b"other bytes")
        assert digest_file(str(Path(root.path, str(DEEP))))[1] == digests


@pytest.mark.needs("loop")
def test_i3_where_they_cannot_both_names_are_one_file(tmp_path: Path) -> None:
    with volume("ext4", tmp_path) as point:
        root = own_root(point / "models")
        file, calm, digests = put_random(point / "models" / "vae" / "a.safetensors")
        before = free(point)
        assert link(file, calm, digests, root, DEEP) == calm
        assert os.stat(file).st_nlink == 2
        assert before - free(point) < SIZE // 4


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another device than the store."""
    with tmpfs(tmp_path / "memory", "100m") as point:
        yield point


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("only", ["sha256", "blake3", "both"])
def test_i3_from_another_device_it_is_a_copy_that_is_read_back(tmp_path: Path, elsewhere: Path, only: str) -> None:
    root = own_root(tmp_path / "models")
    file, calm, digests = put_random(elsewhere / "a.safetensors")
    known = digests if only == "both" else Digests(**{only: digests.named(only)})  # type: ignore[arg-type]
    placed = link(file, calm, known, root, DEEP)
    assert placed.device != calm.device
    assert digest_file(str(Path(root.path, str(DEEP))))[1] == digests
    assert os.listdir(Path(root.path, ".model_manager_partial")) == []


@pytest.mark.needs("tmpfs")
def test_c6_a_copy_of_which_a_write_lied_gets_no_name(tmp_path: Path, elsewhere: Path) -> None:
    class Lying(Disk):
        writes = 0

        def write(self, fd: int, data: memoryview, *where: int) -> int:
            self.writes += 1
            short = 100 if self.writes == 5 else 0
            return super().write(fd, data[: len(data) - short], *where) + short

    root = own_root(tmp_path / "models")
    file, calm, digests = put_random(elsewhere / "a.safetensors")
    with pytest.raises(Corrupt):
        link(file, calm, digests, root, DEEP, disk=Lying())
    assert not Path(root.path, str(DEEP)).exists()


@pytest.mark.needs("tmpfs")
def test_a_copy_that_differs_by_the_only_digest_that_is_known_gets_no_name(tmp_path: Path, elsewhere: Path) -> None:
    root = own_root(tmp_path / "models")
    file, calm, _ = put_random(elsewhere / "a.safetensors")
    with pytest.raises(Corrupt):
        link(file, calm, Digests(blake3="e" * 64), root, DEEP)
    assert not Path(root.path, str(DEEP)).exists()
