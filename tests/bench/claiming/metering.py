"""The server's own time for calls, as it counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis


@dataclass(slots=True)
class Meter:
    """Readings by case: µs of what ran inside, and µs of what `follow` finished afterwards."""

    client: redis.Redis
    follow: Callable[[], None]
    calls: dict[str, list[float]] = field(default_factory=dict)
    follows: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def reading(self, case: str) -> Iterator[None]:
        self.client.config_resetstat()
        yield
        self.calls.setdefault(case, []).append(spent(self.client))
        self.client.config_resetstat()
        self.follow()
        self.follows.setdefault(case, []).append(spent(self.client))


def spent(client: redis.Redis) -> float:
    """µs in functions since the statistics were reset."""
    return float(client.info("commandstats").get("cmdstat_fcall", {"usec": 0})["usec"])
