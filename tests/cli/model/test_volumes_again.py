"""Volumes that go and come back under another device number, and copies that share blocks: on real file systems, by the commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.stories.machine import safetensors
from tests.stories.volumes import mount, tmpfs, unmount

KINDS = [
    pytest.param("btrfs", marks=pytest.mark.needs("mkfs.btrfs")),
    pytest.param("xfs", marks=pytest.mark.needs("mkfs.xfs")),
    pytest.param("ext4", marks=pytest.mark.needs("loop")),
]
SHARING = KINDS[:2]
MEGABYTES = {"xfs": 320, "btrfs": 160, "ext4": 64}
"""Of an image, sparse: the least that each is made on."""

LONG_AGO = 1_700_000_000_123_456_789


def made(kind: str, image: Path) -> Path:
    with image.open("wb") as file:
        file.truncate(MEGABYTES[kind] << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True, timeout=60)
    return image


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[int]:
    """The device number of what lies there."""
    point.mkdir(exist_ok=True)
    mount("-o", "loop", str(image), str(point))
    try:
        yield point.stat().st_dev
    finally:
        if subprocess.run(["umount", str(point)], check=False, capture_output=True, timeout=30).returncode:
            unmount(point)


@contextmanager
def mounted_elsewhere(image: Path, point: Path, spare: Path, number: int) -> Iterator[int]:
    """Under another number than that one: whoever gets it first, until it is taken, is somebody else."""
    with ExitStack() as stack:
        for attempt in range(20):
            with mounted(image, point) as now:
                if now != number:
                    yield now
                    return
            other = made("ext4", spare.with_suffix(f".{attempt}"))
            stack.enter_context(mounted(other, other.with_suffix(".at")))
            stack.enter_context(tmpfs(spare.with_suffix(f".tmpfs{attempt}"), "1m"))
        raise AssertionError("the kernel gave the same number again and again")


def put(file: Path, data: bytes, at: int = LONG_AGO) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    os.utime(file, ns=(at, at))


def said(call: Call, *arguments: str) -> Any:
    code, out, err = call("model", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("kind", KINDS)
def test_c10_a_volume_that_comes_back_under_another_number_is_not_read_again(
    tmp_path: Path,
    call: Call,
    kind: str,
) -> None:
    image, point = made(kind, tmp_path / "image"), tmp_path / "nas"
    with mounted(image, point) as number:
        for seed in range(12):
            put(point / "loras" / f"{seed}.safetensors", safetensors(5000 + seed, seed), LONG_AGO + seed)
        call("model", "dir", "add", str(point))
        first = said(call, "index", "sync")
        assert (first["total"], first["hashesCalculated"]) == (12, 12)
    code, out, _ = call("model", "index", "sync", "--json")
    away = json.loads(out)
    assert (away["total"], away["removed"], away["errors"]) == (12, 0, 1), code
    with mounted_elsewhere(image, point, tmp_path / "spare.img", number):
        again = said(call, "index", "sync")
        assert [again[name] for name in ("total", "added", "updated", "removed", "hashesCalculated", "errors")] == [
            12, 0, 0, 0, 0, 0,
        ]  # fmt: skip
        put(point / "loras" / "3.safetensors", safetensors(5003, 99), LONG_AGO + 99)
        changed = said(call, "index", "sync")
        assert (changed["updated"], changed["hashesCalculated"]) == (1, 1)


@pytest.mark.parametrize("kind", SHARING)
def test_copies_on_a_volume_come_to_share_blocks_and_get_their_own_back(
    tmp_path: Path,
    call: Call,
    kind: str,
) -> None:
    size, data = 12 << 20, safetensors(12 << 20, 7)
    with mounted(made(kind, tmp_path / "image"), tmp_path / "nas"):
        point = tmp_path / "nas"
        for number in range(3):
            put(point / "loras" / f"{number}.safetensors", data, LONG_AGO + number)
        call("model", "dir", "add", str(point))
        said(call, "index", "sync")
        before, marks = _free(point), _marks(point)
        plan = said(call, "index", "duplicates", "--replace", "auto")
        assert abs(_free(point) - before) < 1 << 20, plan
        done = said(call, "index", "duplicates", "--replace", "auto", "--yes")
        assert _free(point) - before > 1.8 * size, done
        assert _marks(point) == marks
        assert all(file.read_bytes() == data for file in (point / "loras").iterdir())
        assert said(call, "index", "sync")["hashesCalculated"] == 0
        said(call, "index", "duplicates", "--undo")
        assert all(file.read_bytes() == data for file in (point / "loras").iterdir())


def _free(point: Path) -> int:
    subprocess.run(["sync", "-f", str(point)], check=True, timeout=60)
    state = os.statvfs(point)
    return state.f_bavail * state.f_frsize


def _marks(point: Path) -> list[tuple[str, int, int]]:
    return sorted((entry.name, entry.stat().st_mode, entry.stat().st_mtime_ns) for entry in (point / "loras").iterdir())
