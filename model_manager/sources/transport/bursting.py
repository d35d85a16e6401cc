"""A short body in a few long calls of the caller's own thread: each hand-over between threads asks for the interpreter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from model_manager.sources.origin import Sink
from model_manager.sources.transport.wire import PlainWire

LOW: Final = 256 * 1024
"""Bytes that the kernel gathers before it wakes the thread, as long as so many are to come."""


def burst(wire: PlainWire, left: int, sink: Sink, seconds: float, over: Callable[[], bool]) -> int:
    """Receive at most `left` bytes, and give up after about so many seconds, or when `over` answers True; how many came.

    Blocks. Fewer come when the sink has enough, when it has no room for so long, or when the other side closed. Nobody else
    may touch the wire meanwhile. Raises what the wire and the sink raise.
    """
    until, done = time.monotonic() + seconds, 0
    with wire.patient(seconds) as receive:
        try:
            while done < left and not over() and (rest := until - time.monotonic()) > 0:
                if (room := _room(sink, rest)) is None or not room:
                    break
                room = room[: left - done]
                if (most := left - done - LOW) > 0:
                    room = room[:most]
                wire.expect(LOW if most > 0 else 1)
                size = receive(room)
                if not size:
                    break
                sink.took(size)
                done += size
        finally:
            wire.expect(1)
    return done


def _room(sink: Sink, seconds: float) -> memoryview | None:
    """None when there is none for so long."""
    if (room := sink.room()) is None:
        free = threading.Event()
        sink.when_free(free.set)
        if free.wait(seconds):
            room = sink.room()
    return room
