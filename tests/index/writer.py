"""A process that writes an index until it is killed. Run as a program: `writer.py <path> <steps>`, or
`writer.py --statements <directory>`."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from making import AT, begun, history


def write(path: str, steps: int) -> None:
    """Apply a history; each acknowledged seq is a line on standard output."""
    store = begun(path)
    for diff in history(steps):
        envelopes = store.apply(diff, at=AT)
        os.write(1, f"{envelopes[-1].seq}\n".encode())
    store.close()


def die_at_each_statement(directory: Path) -> None:
    """One index for each SQL statement of one `apply`; its writer was killed as that statement began."""
    for statement in itertools.count(1):
        child = os.fork()
        if child == 0:
            _die_at(statement, directory / f"{statement}.db")
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return


def _die_at(statement: int, path: Path) -> None:
    store = begun(path)
    diffs = list(history(1))
    for diff in diffs[:-1]:
        store.apply(diff, at=AT)
    left = itertools.count(statement, -1)
    store._db.set_trace_callback(lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(left) == 1 else None)
    store.apply(diffs[-1], at=AT)


if __name__ == "__main__":
    if sys.argv[1] == "--statements":
        die_at_each_statement(Path(sys.argv[2]))
    else:
        write(sys.argv[1], int(sys.argv[2]))
