"""Time, handed in, so that stories can hold it still."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time is for people and other machines; every wait and every deadline here is monotonic."""

    def monotonic(self) -> float:
        return time.monotonic()

    def epoch_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def now(self) -> str:
        """ISO 8601 UTC with milliseconds."""
        return iso(datetime.now(UTC))

    def later(self, seconds: float) -> str:
        return iso(datetime.now(UTC) + timedelta(seconds=seconds))

    def chance(self) -> float:
        """0 to 1, different on every machine: spreads retries."""
        return random.random()  # noqa: S311 - spreads load, protects nothing


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
