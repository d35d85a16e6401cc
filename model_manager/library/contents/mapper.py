"""BLAKE3 of large files that are in memory, by processes that map them: as fast as hashing goes, for nothing is copied."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from model_manager.library.volume import volume_of

LEAST: Final = 256 * 1024 * 1024
"""Bytes of a file from which on it pays: below, what is saved is a few hundredths of a second."""

WINDOW: Final = 256 * 1024 * 1024
"""Bytes that are mapped at a time, and between two looks at whether anybody still wants it. A power of two: such a part is a
tree of its own within BLAKE3's, which all threads share. With 64 MiB the threads wait for each other often enough to cost 5 %."""

AHEAD: Final = 2
"""Parts that are asked for at a time, so that the next one is never waited for."""

IDLE: Final = 10.0
"""Seconds that a process stays when it has nothing to do."""

LOOK: Final = 0.1
"""Seconds between two looks at whether the caller still wants it."""

PATIENCE: Final = 5.0
"""Seconds that a process gets to end. One that the kernel keeps longer is left to it."""

POINTS: Final = 64
ABSENT: Final = 4
"""Places of a file that are looked at to tell whether it is in memory, and how many of them need not be there."""

LOCAL: Final = frozenset({"ext4", "xfs", "f2fs", "btrfs", "bcachefs", "overlay", "tmpfs"})
"""File systems whose pages nobody else takes away; a mapped file of a server that went would be waited for without end."""

COMMAND: Final = (sys.executable, "-I", str(Path(__file__).with_name("mapped.py")))

Tick = Callable[[int], None]
"""Told the bytes that are hashed, after each part and while it waits; it may raise, which ends everything."""


class Lost(Exception):
    """The process ended. Never leaves this file."""


def worth(fd: int, size: int) -> bool:
    """Whether to map a file: large, on a local disk, and in memory. What has to come from the disk first is read, which
    keeps to the order of the disk and takes no longer."""
    if size < LEAST or (kind := volume_of(fd).kind) not in LOCAL:
        return False
    return kind == "tmpfs" or _absent(fd, size) <= ABSENT


def _absent(fd: int, size: int) -> int:
    """How many of the POINTS are not in memory; of a file that is not there at all, only the first few are asked for."""
    missing = 0
    for point in range(POINTS):
        missing += not _present(fd, size * point // POINTS)
        if missing > ABSENT:
            break
    return missing


def _present(fd: int, offset: int) -> bool:
    """Where the file system does not say, it counts as absent (preadv2(2), RWF_NOWAIT)."""
    try:
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except OSError:
        return False


class Mapper:
    """Starts a process when it is asked for one more than it has, and ends it when nobody asked for IDLE seconds. They have the
    priority of the thread that was first in need of them. Thread-safe.
    """

    def __init__(self, *, command: tuple[str, ...] = COMMAND, idle: float = IDLE) -> None:
        self._command = command
        self._idle_seconds = idle
        self._changed = threading.Condition()
        self._idle: list[tuple[float, _Process]] = []
        self._warden: threading.Thread | None = None
        self._closed = False

    def blake3(self, fd: int, size: int, threads: int, take: Callable[[int, int], None], tick: Tick) -> str | None:
        """Of the first `size` bytes of an open file, as hex; None where that was not possible: read it, to learn why.

        `take` is called before each part (start, stop) and may wait; `take` and `tick` run on this thread, and what they raise
        ends the process at once and is raised.
        """
        try:
            with self._lent() as process:
                process.begin(fd, threads)
                asked = done = 0
                while done < size:
                    while asked < size and asked - done < AHEAD * WINDOW:
                        stop = min(size, asked + WINDOW)
                        take(asked, stop)
                        process.ask(asked, stop)
                        asked = stop
                    done = int(process.answer(lambda: tick(done)))  # noqa: B023  (called before it returns)
                    tick(done)
                return process.end(lambda: tick(size))
        except (Lost, OSError):
            return None

    def close(self) -> None:
        """No process is left. Those that work meanwhile end when they are given back."""
        with self._changed:
            self._closed = True
            idle, self._idle, warden = self._idle, [], self._warden
            self._changed.notify_all()
        for _, process in idle:
            process.dismiss()
        if warden is not None:
            warden.join()

    @contextmanager
    def _lent(self) -> Iterator[_Process]:
        process = self._rested() or _Process(self._command)
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        self._give_back(process)

    def _rested(self) -> _Process | None:
        with self._changed:
            return self._idle.pop()[1] if self._idle else None

    def _give_back(self, process: _Process) -> None:
        with self._changed:
            if not self._closed:
                self._idle.append((monotonic() + self._idle_seconds, process))
                self._changed.notify_all()
                self._watch()
                return
        process.dismiss()

    def _watch(self) -> None:
        """Needs the lock. Where the system has no more threads the process stays until one can be started, or `close`."""
        if self._warden is None:
            warden = threading.Thread(target=self._end_idle, name="model-mapper", daemon=True)
            with suppress(RuntimeError):
                warden.start()
                self._warden = warden

    def _end_idle(self) -> None:
        while True:
            with self._changed:
                while self._idle and (left := self._idle[0][0] - monotonic()) > 0:
                    self._changed.wait(left)
                if not self._idle:
                    self._warden = None
                    return
                _, process = self._idle.pop(0)
            process.dismiss()


class _Process:
    """One of them, for one thread at a time. Raises Lost when it ended, OSError when it could not be started."""

    def __init__(self, command: tuple[str, ...]) -> None:
        """No descriptor of ours but its own end of the socket, nothing of our environment, and out of reach of Ctrl-C."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = subprocess.DEVNULL
        try:
            with theirs:
                self._child = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=null, stderr=null, env={}, cwd="/", start_new_session=True
                )
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(LOOK)

    def begin(self, fd: int, threads: int) -> None:
        socket.send_fds(self._socket, [b"begin %d" % threads], [fd])

    def ask(self, start: int, stop: int) -> None:
        self._socket.send(b"%d %d" % (start, stop))

    def end(self, waiting: Callable[[], None]) -> str:
        self._socket.send(b"end")
        return self.answer(waiting).decode("ascii")

    def answer(self, waiting: Callable[[], None]) -> bytes:
        while True:
            try:
                message = self._socket.recv(128)
            except TimeoutError:
                waiting()
                continue
            if not message:
                raise Lost
            return message

    def dismiss(self) -> None:
        """It ends because we hang up."""
        self._socket.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._child.kill()
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(PATIENCE)
