"""On real file systems: what the kernel shares, and what it says about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from model_manager.library.disk import opened
from model_manager.library.duplicates.blocks import layout, share, shares_blocks
from tests.library.shelves import as_nobody
from tests.library.test_sharing import free, sync, volume

SHARING = [
    pytest.param("xfs", marks=pytest.mark.needs("mkfs.xfs")),
    pytest.param("btrfs", marks=pytest.mark.needs("mkfs.btrfs")),
]
SIZE = (16 << 20) + 1234


def put_twice(point: Path, data: bytes) -> tuple[str, str]:
    for name in "ab":
        (point / name).write_bytes(data)
    sync(point)
    return str(point / "a"), str(point / "b")


@pytest.mark.parametrize("kind", SHARING)
def test_the_kernel_compares_and_shares_and_the_layouts_agree_afterwards(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        one, other = put_twice(point, os.urandom(SIZE))
        assert layout(one) is not None
        assert layout(one) != layout(other)
        before, state = free(point), os.stat(other)
        with opened(one, os.O_RDONLY) as source, opened(other, os.O_RDONLY) as target:
            assert share(source, target, 0, 16 << 20) == 16 << 20
            assert share(source, target, 16 << 20, 1234) == 1234
        assert free(point) - before > 15 << 20
        assert layout(one) == layout(other)
        assert os.stat(other).st_mtime_ns == state.st_mtime_ns


@pytest.mark.parametrize("kind", SHARING)
def test_bytes_that_differ_are_not_shared(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        data = os.urandom(SIZE)
        one, other = put_twice(point, data)
        with open(other, "r+b") as file:
            file.seek(5 << 20)
            file.write(bytes([data[5 << 20] ^ 1]))
        with opened(one, os.O_RDONLY) as source, opened(other, os.O_RDONLY) as target:
            assert share(source, target, 0, 16 << 20) is None
        assert layout(one) != layout(other)


@pytest.mark.parametrize("kind", SHARING)
def test_a_file_system_that_shares_is_recognised_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    with volume(kind, tmp_path) as point:
        assert shares_blocks(str(point))
        assert os.listdir(point) == []


@pytest.mark.needs("loop")
def test_one_that_does_not_is_recognised_too(tmp_path: Path) -> None:
    with volume("ext4", tmp_path) as point:
        assert not shares_blocks(str(point))
        one, other = put_twice(point, b"x" * 9000)
        with (
            opened(one, os.O_RDONLY) as source,
            opened(other, os.O_RDONLY) as target,
            pytest.raises(OSError) as caught,
        ):
            share(source, target, 0, 9000)
        assert caught.value.errno == errno.EOPNOTSUPP


def test_where_we_may_not_write_nothing_is_shared(tmp_path: Path) -> None:
    assert not shares_blocks(str(tmp_path / "gone"))


@pytest.mark.needs("mkfs.xfs", "root")
def test_a_directory_of_others_is_no_place_to_share(tmp_path: Path) -> None:
    with volume("xfs", tmp_path) as point:
        for place in (*tmp_path.parents, tmp_path, point):
            os.chmod(place, place.stat().st_mode | 0o011)

        def look() -> None:
            assert not shares_blocks(str(point))

        as_nobody(look)


def test_a_place_that_cannot_be_told_is_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert [layout(str(tmp_path / name)) for name in ("gone", "link", "pipe")] == [None, None, None]


@pytest.mark.needs("mkfs.btrfs")
def test_bytes_inside_the_inode_lie_nowhere(tmp_path: Path) -> None:
    with volume("btrfs", tmp_path) as point:
        one, _ = put_twice(point, b"abc")
        assert layout(one) is None
