"""A disk that fails where it is told to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from model_manager.library.disk import Disk


class FaultyDisk(Disk):
    """`call` (a method of Disk) raises `code` from its `at`-th use on, `times` times; `taking` bytes at most a write."""

    def __init__(self, call: str = "", code: int = 0, *, at: int = 1, times: int = 1, taking: int = 1 << 30) -> None:
        self._fault = (call, code, range(at, at + times))
        self._taking = taking
        self.used: Counter[str] = Counter()

    def _meet(self, call: str) -> None:
        self.used[call] += 1
        name, code, turns = self._fault
        if name == call and self.used[call] in turns:
            raise OSError(code, os.strerror(code))

    def write(self, fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        self._meet("write")
        if self._taking < sum(map(len, pieces)):
            pieces = [pieces[0][: self._taking]]
        return super().write(fd, pieces, offset)

    def allocate(self, fd: int, start: int, size: int) -> None:
        self._meet("allocate")
        super().allocate(fd, start, size)

    def sync_data(self, fd: int) -> None:
        self._meet("sync_data")
        super().sync_data(fd)

    def sync(self, fd: int) -> None:
        self._meet("sync")
        super().sync(fd)

    def replace(self, old: str, new: str, folder: int) -> None:
        self._meet("replace")
        super().replace(old, new, folder)

    def rename(self, old: str, new: str, *, old_folder: int, new_folder: int) -> None:
        self._meet("rename")
        super().rename(old, new, old_folder=old_folder, new_folder=new_folder)

    def exchange(self, one: str, other: str, folder: int) -> None:
        self._meet("exchange")
        super().exchange(one, other, folder)
