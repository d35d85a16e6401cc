"""A terminal of a given size with a command of ours in it: what it draws, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

DEADLINE = 30.0
BACK = b"\x1b[?1049l"
"""xterm leaves the alternate screen."""

_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`model-manager ARGUMENTS` as a person starts it. `seen` is all that it ever wrote."""

    def __init__(
        self, state: Path, *arguments: str, size: tuple[int, int] = (100, 20), environ: Mapping[str, str] | None = None
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self.seen = b""
        self.resize(*size)
        self._before = termios.tcgetattr(self._theirs)
        plain = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        plain = {key: value for key, value in plain.items() if not key.startswith(("REDIS_", "MODEL_"))}
        env = {**plain, "TERM": "xterm", "MODEL_MANAGER_STATE_DIR": str(state), **(environ or {})}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("model-manager")), *arguments],
            env=env,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, text: str) -> None:
        os.write(self._ours, text.encode())

    @property
    def screen(self) -> list[str]:
        """The lines that were drawn last."""
        text = _SEQUENCES.sub("", self.seen.decode("utf-8", "replace").rpartition("\x1b[H")[2])
        return [line.rstrip() for line in text.replace("\r", "").split("\n")]

    def until(self, text: str, lines: int = 0) -> None:
        """It stands on the screen that was drawn last, which has so many lines, if it matters."""
        deadline = time.monotonic() + DEADLINE
        while not any(text in line for line in self.screen) or lines not in (0, len(self.screen)):
            assert time.monotonic() < deadline, self.screen
            assert self._read(), self.screen

    def ended(self) -> int:
        """The exit code."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.screen
            self._read()
        while self._read():
            continue
        return self.process.returncode

    @property
    def put_back(self) -> bool:
        """Whether the terminal is as it was before."""
        return termios.tcgetattr(self._theirs) == self._before and BACK in self.seen

    def _read(self) -> bool:
        """Whether there is more to come."""
        ready, _, _ = select.select([self._ours], [], [], 0.1)
        if ready:
            self.seen += os.read(self._ours, 65_536)
        return bool(ready) or self.process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)
