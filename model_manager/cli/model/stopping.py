"""Ctrl-C as a question that long work asks, so that it ends between two steps and not within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asking() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came since the block began; outside of it they mean what they meant before."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: meaning for number in numbers if (meaning := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        for number, meaning in before.items():
            signal.signal(number, meaning)
