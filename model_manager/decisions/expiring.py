"""When is a remote service asked about a file again?"""

from __future__ import annotations

from typing import Final, assert_never

from model_manager.decisions.retrying import Never, after
from model_manager.errors import ModelManagerError
from model_manager.facts.known import Answer, Outcome

DAY: Final = 86_400.0
"""Seconds."""

FRESH: Final = 30 * DAY
"""How long what a service said of a file is taken as it was."""

ABSENT_FIRST: Final = 7 * DAY
ABSENT_LONGEST: Final = 90 * DAY
"""How long a service counts as not knowing a file: doubled with every time that it says so again. Files are often published
weeks after they were made, and almost never after years."""

DOUBTFUL_FIRST: Final = DAY
DOUBTFUL_LONGEST: Final = 30 * DAY
"""How long an answer that could not be read is left alone, doubled in the same way: a service mends what it says, or we do."""


def answer(sha256: str, outcome: Outcome, at: float, before: Answer | None) -> Answer:
    """What is remembered of an answer of this moment (`at`, Unix seconds), and when the question is due again. That a service
    no longer knows a file is no reason to forget what it told."""
    times = before.times + 1 if before is not None and before.outcome == outcome else 1
    return Answer(sha256=sha256, outcome=outcome, at=at, due=at + _rest(outcome, 2 ** min(times - 1, 10)), times=times)


def _rest(outcome: Outcome, growth: int) -> float:
    match outcome:
        case "found":
            return FRESH
        case "absent":
            return min(ABSENT_LONGEST, ABSENT_FIRST * growth)
        case "doubtful":
            return min(DOUBTFUL_LONGEST, DOUBTFUL_FIRST * growth)
        case _:
            assert_never(outcome)


def after_failure(error: ModelManagerError, failures: int, chance: float) -> float | None:
    """Seconds until a question that got no answer is asked again, after so many failures in a row; None: not before
    something changes. A failure is no answer: nothing is remembered of the files that were asked about."""
    decision = after(error, failures, attempts=failures + 1, stalled=False, chance=chance)
    return None if isinstance(decision, Never) else decision.seconds
