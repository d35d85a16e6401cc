"""Python's search for garbage in cycles, kept away from a fleet that is none: a thousand machines are half a million objects, and
events that come by thousands would have them searched again and again."""

from __future__ import annotations

import gc
from typing import Final

SELDOM: Final = (20_000, 20, 50)
"""A page of the stream makes 10,000 objects, which go when it is folded."""


def seldom() -> None:
    """Search after a page or two, not within one."""
    gc.set_threshold(*SELDOM)


def set_aside() -> None:
    """Whatever lives now is never searched again; it still goes when nobody holds it."""
    gc.collect()
    gc.freeze()
