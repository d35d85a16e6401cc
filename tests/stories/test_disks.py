"""How many files are read at a time of a disk that turns, of one that does not, and of a file server: real mounts."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_manager.library.contents import readers
from model_manager.library.devices import device_of
from model_manager.settings import load
from model_manager.workbench.run import workbench
from tests.stories.nas import served
from tests.stories.volumes import mount, unmount
from tests.workbench.making import put

FILES = 6
MEGABYTES = {"ext4": 64, "btrfs": 160}


class Counter:
    """How many files are read at a time, at most; none ends before `gather` of them are there, or so many seconds are over."""

    def __init__(self, gather: int, patience: float) -> None:
        self._changed, self._gather, self._patience = threading.Condition(), gather, patience
        self._now = self.most = 0

    def reading(self, *arguments: object, **options: object) -> object:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._gather, timeout=self._patience)
        try:
            return DIGEST_FILE(*arguments, **options)
        finally:
            with self._changed:
                self._now -= 1


DIGEST_FILE = readers.digest_file


async def read_at_a_time(home: Path, point: Path, monkeypatch: pytest.MonkeyPatch, gather: int, patience: float) -> int:
    counter = Counter(gather, patience)
    monkeypatch.setattr(readers, "digest_file", counter.reading)
    async with workbench(load({"MODEL_MANAGER_STATE_DIR": str(home / "s"), "MACHINE_ID": "m1"})) as bench:
        await bench.tracking.add(str(point))
        found = await bench.sync()
    assert found.hashes_calculated == FILES
    return counter.most


@pytest.mark.needs("fuse")
async def test_of_a_file_server_two_files_are_read_at_a_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, point = home / "shelf", home / "nas"
    for seed in range(FILES):
        put(shelf, f"loras/{seed}.safetensors", seed)
    with served(shelf, point):
        assert await read_at_a_time(home, point, monkeypatch, 3, 0.3) == 2


@contextmanager
def disk(kind: str, home: Path, turns: bool) -> Iterator[Path]:
    """A file system on a disk that says so of itself."""
    image, point = home / "image", home / "disk"
    with image.open("wb") as file:
        file.truncate(MEGABYTES[kind] << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True, timeout=60)
    point.mkdir()
    found = subprocess.run(
        ["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True, timeout=30
    )
    loop = found.stdout.strip()
    try:
        Path(f"/sys/block/{Path(loop).name}/queue/rotational").write_text(str(int(turns)))
        mount(loop, str(point))
        yield point
    finally:
        unmount(point)
        subprocess.run(["losetup", "-d", loop], check=False, capture_output=True, timeout=30)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("ext4", marks=pytest.mark.needs("loop")),
        pytest.param("btrfs", marks=pytest.mark.needs("mkfs.btrfs")),
    ],
)
@pytest.mark.parametrize("turns", [True, False])
async def test_of_a_disk_that_turns_one_file_is_read_at_a_time_and_else_one_a_core(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, turns: bool
) -> None:
    cores = os.cpu_count() or 1
    with disk(kind, home, turns) as point:
        assert device_of(str(point)).kind == ("rotational" if turns else "ssd")
        for seed in range(FILES):
            put(point, f"loras/{seed}.safetensors", seed)
        expected = 1 if turns else min(cores, FILES)
        gather, patience = (2, 0.3) if turns else (expected, 20.0)
        assert await read_at_a_time(home, point, monkeypatch, gather, patience) == expected
