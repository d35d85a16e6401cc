"""How many connections to a host are worth having?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STEP: Final = 4
"""Connections are multiplied by it while that helps: 1, 4, 16."""

GAIN: Final = 1.25
"""The wider number must bring this many times the speed of the narrower, or it is given up."""


def wider(speeds: Mapping[int, float], now: int, most: int, *, sure: bool = True) -> int:
    """The number of connections to go on with.

    `speeds`: bytes/s that were measured with each number so far, `now` the present number, `most` what is allowed.
    Only who is `sure` of the present speed gives it up.
    """
    now = max(1, min(now, most))
    if now not in speeds:
        return now
    narrower = max((n for n in speeds if n < now), default=None)
    if narrower is not None and speeds[now] < GAIN * speeds[narrower]:
        return narrower if sure else now
    further = min(now * STEP, most)
    if further > now and (further not in speeds or speeds[further] >= GAIN * speeds[now]):
        return further
    return now
