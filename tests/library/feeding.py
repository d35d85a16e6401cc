"""Bytes into an unfinished file, as a connection brings them."""

from __future__ import annotations

from model_manager.library.disk import Disk
from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.partial import Partial


def append(partial: Partial, data: bytes, at: int | None = None) -> None:
    """Data behind what is there (or `at` its place), by a lane of its own; back when it is written and hashed."""
    lane = partial.lane(partial.reached if at is None else at, None)
    try:
        fill(lane, data)
    finally:
        lane.close()
    partial.settle()


def crash(partial: Partial) -> None:
    """Let go of everything as a kill does: nothing is written, synced or written down any more."""
    partial._spool.fail(InterruptedError("killed"))
    partial._mill.close()
    partial._shut()


def exchange_disk(partial: Partial, disk: Disk) -> None:
    partial._ledger.disk = partial._out.disk = disk
