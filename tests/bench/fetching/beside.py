"""How late a process wakes that does nothing else: what is the machine's doing is not the program's that runs beside it.

`python -m …` sleeps for TICK seconds again and again until its standard input ends, then prints how late it woke at worst.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TICK: Final = 0.005
"""Seconds of each sleep, as long as those of the loop that it is compared with."""


class Beside:
    """`worst`: seconds that it woke late; `stolen`: processor seconds that the machine below ours gave to others meanwhile (proc(5))."""

    worst = 0.0
    stolen = 0.0


@contextmanager
def idle_process() -> Iterator[Beside]:
    """It runs for the length of the block; its figures are there after it."""
    found = Beside()
    command = (sys.executable, "-I", "-S", __file__)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = _stolen()
        yield found
        said, _ = process.communicate()
        found.worst, found.stolen = float(said), _stolen() - before


def _stolen() -> float:
    ticks = Path("/proc/stat").read_text().split(maxsplit=9)[8]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def _oversleep() -> float:
    worst = 0.0
    while True:
        due = time.monotonic() + TICK
        ended = select.select([0], [], [], TICK)[0]
        if ended:
            return worst
        worst = max(worst, time.monotonic() - due)


if __name__ == "__main__":
    print("awake", flush=True)
    print(_oversleep())
