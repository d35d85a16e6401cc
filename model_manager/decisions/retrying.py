"""When is a failed download tried again, and when does it count as failed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model_manager.errors import (
    BadContent,
    BadPath,
    BadRecord,
    Corrupt,
    ModelManagerError,
    NoSpace,
    NotAuthorized,
    Occupied,
    Refused,
    RootAway,
    Unavailable,
)

FIRST: Final = 1.0
SLOWEST: Final = 60.0
"""Seconds between attempts: doubling from the first, so that a cleared fault heals within a minute."""

ASKED_AT_MOST: Final = 3600.0
"""Seconds: a Retry-After beyond it is a mistake or an attack."""

REFUSED: Final = 300.0
"""Seconds between attempts at what was refused for good as far as we can tell (a 404, bytes that are never right)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Wait `seconds`, then try again; `failed` says that it counts as failed meanwhile (it is still tried, slowly)."""

    seconds: float
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """Not before the request, or what is in its way, changes."""


def after(error: ModelManagerError, failures: int, attempts: int, stalled: bool, chance: float) -> Retry | Never:
    """What to do after `failures` (1, 2, …) in a row. `attempts`: how many count as one failure; `stalled`: no byte came for
    longer than the owner allows; `chance`: 0 to 1, spreads machines that failed together.
    """
    failed = stalled or failures >= attempts
    match error:
        case Corrupt():
            return (
                Retry(seconds=_spread(FIRST, chance), failed=False)
                if failures < 2
                else Retry(seconds=REFUSED, failed=True)
            )
        case NotAuthorized():
            return Retry(seconds=SLOWEST * (1 + chance / 4), failed=True)
        case BadContent() | BadRecord():
            return Never()
        case BadPath() | Occupied():  # something on this disk is in the way, which its owner may move
            return Retry(seconds=_spread(SLOWEST, chance), failed=True)
        case Refused():  # a missing file, a redirect in circles: who serves it may mend it
            return Retry(seconds=_spread(REFUSED, chance), failed=True)
        case NoSpace() | RootAway():
            return Retry(seconds=_spread(5.0, chance), failed=failed)
        case Unavailable(retry_after=asked) if asked is not None:
            return Retry(seconds=min(max(asked, FIRST), ASKED_AT_MOST) * (1 + chance / 4), failed=failed)
        case _:
            return Retry(seconds=_spread(min(SLOWEST, FIRST * 2 ** min(failures - 1, 10)), chance), failed=failed)


def _spread(seconds: float, chance: float) -> float:
    return seconds * (0.75 + chance / 2)
