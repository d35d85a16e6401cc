"""Python's search for garbage in cycles, kept away from what is none: a hundred thousand files are half a million records in no
cycle, and one look at all of them stops every thread for a fifth of a second."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MANY: Final = 1000
"""Records that come at once, from which on they are worth setting aside."""

_USUAL: Final = (700, 10, 10)  # CPython's own, gc.get_threshold
_NEVER: Final = 1_000_000


@contextmanager
def undisturbed() -> Iterator[None]:
    """For the length of a block in which many records are made, only young objects are searched."""
    gc.set_threshold(*_USUAL[:2], _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*_USUAL)


def set_aside() -> None:
    """Whatever lives now is never searched again; it still goes when nobody holds it. Garbage that waits in a cycle at this
    moment stays for good: to be called when many records have come, not every time."""
    gc.collect(1)
    gc.freeze()
