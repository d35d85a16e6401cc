"""The server's own time for calls, as it counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import redis

LOGGED: Final = 1_000
"""Calls of one reading that the slow log remembers."""


@dataclass(slots=True)
class Meter:
    """Readings by case: µs of what ran inside, µs of what `follow` finished afterwards, and µs of the longest single call of both."""

    client: redis.Redis
    follow: Callable[[], None]
    calls: dict[str, list[float]] = field(default_factory=dict)
    follows: dict[str, list[float]] = field(default_factory=dict)
    longest: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The slow log takes every call, for it alone knows them one by one."""
        self.client.config_set("slowlog-log-slower-than", 0)
        self.client.config_set("slowlog-max-len", LOGGED)

    @contextmanager
    def reading(self, case: str) -> Iterator[None]:
        self.client.config_resetstat()
        self.client.slowlog_reset()
        yield
        self.calls.setdefault(case, []).append(spent(self.client))
        self.client.config_resetstat()
        self.follow()
        self.follows.setdefault(case, []).append(spent(self.client))
        self.longest.setdefault(case, []).append(slowest(self.client))


def slowest(client: redis.Redis) -> float:
    """µs of the longest call of a function in the slow log."""
    calls = client.slowlog_get(LOGGED)
    return max(
        (float(each["duration"]) for each in calls if bytes(each["command"]).upper().startswith(b"FCALL")), default=0.0
    )


def spent(client: redis.Redis) -> float:
    """µs in functions since the statistics were reset."""
    return float(client.info("commandstats").get("cmdstat_fcall", {"usec": 0})["usec"])
