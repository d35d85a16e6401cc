"""strace at a running machine: its system calls fail, lie, linger or kill."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 20.0
"""Seconds that attaching, or waiting for a call, may take."""

LETTING_GO = 1.0
"""Seconds that strace gets to detach."""


class Injection:
    """What strace wrote so far; it detaches with `end`."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def text(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    @property
    def left(self) -> bool:
        """Whether the machine asked the kernel to end it (strace itself may hold a delayed one longer)."""
        return "exit_group(" in self.text

    @property
    def hits(self) -> int:
        return self.text.count("(INJECTED)") + self.text.count("(DELAYED)") + self.text.count("+++ killed by SIGKILL")

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(LETTING_GO)
            except subprocess.TimeoutExpired:  # it waits for ever for a thread that died in its delay
                self._process.kill()
                self._process.wait(PATIENCE)


@contextmanager
def injecting(pid: int, output: Path, calls: str, what: str, *paths: Path) -> Iterator[Injection]:
    """`calls` (fsync,fdatasync) suffer `what` (error=EIO, signal=SIGKILL, delay_enter=2000000, each with :when=N) when they
    touch one of `paths`, or anywhere. `when` counts in each thread by itself; `output` gets what strace says."""
    output.unlink(missing_ok=True)
    places = [word for path in paths for word in ("-P", str(path))]
    errors = output.with_suffix(".err")
    with errors.open("wb") as said:
        process = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(output), *places, "-e", f"trace={calls},exit_group", "-e", f"inject={calls}:{what}"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    injection = Injection(process, output)
    try:
        deadline = time.monotonic() + PATIENCE
        while b"attached" not in errors.read_bytes():
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.01)
        time.sleep(0.1)  # the other threads are attached right after the first
        yield injection
    finally:
        injection.end()


@contextmanager
def injecting_once(pid: int, output: Path, calls: str, what: str, *paths: Path) -> Iterator[Injection]:
    """As `injecting`, but strace lets go at its first hit: `when` alone would strike each thread of a pool once."""
    with injecting(pid, output, calls, f"{what}:when=1", *paths) as injection:
        stop = _letting_go(injection)
        yield injection
        stop()


def _letting_go(injection: Injection) -> Callable[[], None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            if injection.hits:
                injection.end()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    return stop
