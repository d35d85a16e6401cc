"""The disk alone: `python -m … DIRECTORY COUNT SIZE` writes as many bytes as ours does, by the same calls, with no network and no
hash, and prints what it cost. Nothing that keeps the same promises can be faster than this at the same moment."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from model_manager.library.disk import Disk, opened, write_whole
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.outfile import OutFile
from model_manager.library.incoming.partial import AT_ONCE, SYNC_EVERY
from model_manager.library.incoming.spool import GATHER
from model_manager.library.volume import volume_of

JOURNAL: Final = b"{}" * 300
"""As long as what is written down after each sync."""

AT_A_TIME: Final = 8
"""Files, as many as everybody fetches."""


class Writing:
    """One file: written, synced beside it with what is written down then, synced whole, renamed, its directory synced."""

    def __init__(self, directory: str, name: str, size: int, memory: list[memoryview]) -> None:
        self._directory, self._name, self._size, self._memory = directory, name, size, memory
        self._disk = Disk()
        self._changed = threading.Condition()
        self._written = self._synced = 0
        self._over = False

    def run(self) -> None:
        draft, final = (os.path.join(self._directory, name) for name in (f"{self._name}.part", self._name))
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        out = OutFile(fd, self._disk, volume_of(fd), Extents())
        beside = threading.Thread(target=self._sync, args=(fd,))
        if self._size > AT_ONCE:
            beside.start()
        self._write(out)
        if self._size > AT_ONCE:
            beside.join()
        self._disk.sync(fd)
        out.close()
        os.rename(draft, final)
        with opened(self._directory, os.O_RDONLY) as folder:
            self._disk.sync(folder)

    def _write(self, out: OutFile) -> None:
        step = self._size if self._size <= AT_ONCE else GATHER * BLOCK
        for at in range(0, self._size, step):
            size = min(step, self._size - at)
            blocks = [self._memory[n % len(self._memory)] for n in range(-(-size // BLOCK))]
            out.make_room(at, at + size, self._size if self._size > AT_ONCE else None, lambda _: None)
            out.write([block[: size - n * BLOCK] for n, block in enumerate(blocks)], at)
            with self._changed:
                self._written += size
                self._changed.notify_all()
                if self._size > AT_ONCE:
                    self._changed.wait_for(lambda: self._written - self._synced < 2 * SYNC_EVERY)
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _sync(self, fd: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._written - self._synced >= SYNC_EVERY)
                if self._over:
                    return
                written = self._written
            self._disk.sync_data(fd)
            with opened(self._directory, os.O_RDONLY) as folder:
                write_whole(self._disk, folder, f"{self._name}.json", JOURNAL, 0o600)
            with self._changed:
                self._synced = written
                self._changed.notify_all()


def write(directory: str, count: int, size: int) -> dict[str, float]:
    buffers = Buffers()
    memory = [block for _ in range(2 * GATHER) if (block := buffers.take())]
    for block in memory:
        block[:] = os.urandom(BLOCK)
    files = [Writing(directory, f"w{n:03d}", size, memory) for n in range(count)]
    begun, used = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in [pool.submit(file.run) for file in files]:
            done.result()
    return {"seconds": time.monotonic() - begun, "cpu": time.process_time() - used}


if __name__ == "__main__":
    print(json.dumps(write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
