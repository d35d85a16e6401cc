"""Python's search for garbage in cycles, kept away from a fleet that is none: a thousand machines are half a million objects, and
events that come by thousands would have them searched again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SELDOM: Final = (20_000, 20, 50)
"""A page of the stream makes 6,000 objects, which go when it is folded."""


def seldom() -> None:
    """Search after some pages, not within one."""
    gc.set_threshold(*SELDOM)


def set_aside() -> None:
    """Whatever lives now is never searched again; it still goes when nobody holds it."""
    gc.collect()
    gc.freeze()


@contextmanager
def undisturbed() -> Iterator[None]:
    """While much is made that stays: nothing is searched meanwhile, and what lives at its end is never searched again. Whoever asks
    in this time would wait a tenth of a second for a search that finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
