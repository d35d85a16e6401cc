"""Real file systems for stories: small ones that fill up, images that the power is cut from."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, timeout=30)


def unmount(point: Path) -> None:
    """Also when files are open in it, as a pulled network volume would go."""
    subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True, timeout=30)


@contextmanager
def tmpfs(point: Path, size: str) -> Iterator[Path]:
    point.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(point))
    try:
        yield point
    finally:
        unmount(point)


class Balloon:
    """Another process's file that eats a file system's space, all but `leaving` bytes."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "balloon"

    def blow(self, leaving: int = 0) -> None:
        """Others may write meanwhile; in the end no more than `leaving` bytes are free."""
        with self._path.open("ab") as file:
            while (free := self._free() - leaving) > 0:
                size = os.fstat(file.fileno()).st_size
                while free > 0 and not self._grown(file.fileno(), size, free):
                    free //= 2

    def _grown(self, fd: int, size: int, by: int) -> bool:
        try:
            os.posix_fallocate(fd, size, by)
        except OSError:
            return False
        return True

    def _free(self) -> int:
        state = os.statvfs(self._path)
        return state.f_bavail * state.f_frsize

    def pop(self) -> None:
        self._path.unlink()


@contextmanager
def ext4(image: Path, point: Path, megabytes: int) -> Iterator[Path]:
    """A fresh ext4 in a file, mounted at `point`."""
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True, capture_output=True, timeout=60)
    with mounted(image, point):
        yield point


def break_down(point: Path) -> None:
    """What ext4 does by itself after an error of its disk (errors=remount-ro): from now on it is read-only."""
    device = subprocess.run(["findmnt", "-no", "SOURCE", str(point)], capture_output=True, text=True, check=True)
    Path(f"/sys/fs/ext4/{Path(device.stdout.strip()).name}/trigger_fs_error").write_text("1")


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[Path]:
    """An image as it is: after a power cut, ext4 replays its journal here."""
    point.mkdir(parents=True, exist_ok=True)
    mount("-o", "loop,errors=remount-ro", str(image), str(point))
    try:
        yield point
    finally:
        _let_go(point)


def _let_go(point: Path) -> None:
    """Properly, once the killed have closed their files; else lazily."""
    for _ in range(100):
        if subprocess.run(["umount", str(point)], check=False, capture_output=True, timeout=30).returncode == 0:
            return
        time.sleep(0.05)
    unmount(point)


def cut(image: Path, copy: Path, patience: float = 20.0) -> None:
    """The image as it was in one instant: read until two readings in a row agree, so that no write fell in between."""
    deadline = time.monotonic() + patience
    before = image.read_bytes()
    while (now := image.read_bytes()) != before:
        assert time.monotonic() < deadline, "the image never held still"
        before = now
    with copy.open("wb") as file:
        for at in range(0, len(now), 1 << 16):
            block = now[at : at + (1 << 16)]
            if block.count(0) != len(block):
                file.seek(at)
                file.write(block)
        file.truncate(len(now))
