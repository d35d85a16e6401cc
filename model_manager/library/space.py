"""Bytes that may still be written: free space minus the floor minus what running downloads were promised."""

from __future__ import annotations

import os
import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self

from model_manager.errors import NoInodes, NoSpace, RootAway
from model_manager.facts.machine import Disk

MIN_INODES: Final = 16
"""Files that a download may need at once (data, journal, its draft, directories), with room to spare."""


class Space:
    """The free-space floor of every file system that we write to, and the reservations against it. Thread-safe."""

    def __init__(self, floor: int) -> None:
        """`floor`: bytes that our downloads always leave free on each file system."""
        self.floor = floor
        self._reserved: Counter[int] = Counter()
        self._lock = threading.Lock()

    def disk(self, root: str) -> Disk:
        """Bytes free to us and in total. Raises RootAway when the directory is not there."""
        state = _state(root)
        return Disk(
            root=root,
            free=state.f_bavail * state.f_frsize,
            total=state.f_blocks * state.f_frsize,
            floor=self.floor,
        )

    def reserve(self, root: str, size: int, name: str) -> Reservation:
        """Set `size` bytes aside for `name`; a context manager that gives back what was not written.

        Raises NoSpace (NoInodes) before the first byte when it would not fit above the floor beside what is reserved.
        """
        device = _device(root)
        with self._lock:
            self._insist(root, size + self._reserved[device], size, name)
            self._reserved[device] += size
        return Reservation(self, root, device, size, name)

    def reserved(self, root: str) -> int:
        """Bytes promised to running downloads on that file system and not yet written."""
        device = _device(root)
        with self._lock:
            return self._reserved[device]

    def insist(self, root: str, size: int, name: str) -> None:
        """Raise NoSpace when writing `size` more bytes now would cross the floor, whoever ate the space."""
        self._insist(root, size, size, name)

    def _insist(self, root: str, taken: int, size: int, name: str) -> None:
        state = _state(root)
        free = state.f_bavail * state.f_frsize
        if free - taken < self.floor:
            promised = taken - size
            beside = f" ({promised} of them promised to running downloads)" if promised else ""
            raise NoSpace(root=root, free=f"{free}{beside}", name=name, need=size, floor=self.floor)
        if state.f_files and state.f_favail < MIN_INODES:
            raise NoInodes(root=root, free=state.f_favail, name=name, need=MIN_INODES)

    def _release(self, device: int, size: int) -> None:
        with self._lock:
            self._reserved[device] -= size


class Reservation:
    """Bytes set aside for one download."""

    def __init__(self, space: Space, root: str, device: int, size: int, name: str) -> None:
        self._space = space
        self._root = root
        self._device = device
        self._left = size
        self._name = name

    def writing(self, size: int) -> None:
        """Call before each write. Raises NoSpace when these bytes would cross the floor now."""
        self._space.insist(self._root, size, self._name)
        self._take(min(size, self._left))

    def _take(self, size: int) -> None:
        self._left -= size
        self._space._release(self._device, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take(self._left)


def _state(root: str) -> os.statvfs_result:
    try:
        return os.statvfs(root)
    except OSError as error:
        raise RootAway(root=root, why=error.strerror) from error


def _device(root: str) -> int:
    try:
        return os.stat(root).st_dev
    except OSError as error:
        raise RootAway(root=root, why=error.strerror) from error
