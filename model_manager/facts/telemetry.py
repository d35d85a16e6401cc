"""Events in the form that the dashboards of an existing fleet read from `telemetry:events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The JSON in the field `event`. `timestamp` in ms since 1970; the names are that fleet's."""

    timestamp: int
    service: str
    eventType: str
    traceId: str
    machineId: str
    level: Level
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stocked:
    """An inventory as that fleet's machine status names it. Sizes in 10^9 bytes; `last_updated` in ms since 1970."""

    total_count: int
    total_size_gb: float
    by_type: dict[str, int]
    last_updated: int
