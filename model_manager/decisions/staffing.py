"""How many files does a device like to have read at a time?"""

from __future__ import annotations

from model_manager.facts.device import DeviceKind


def workers(kind: DeviceKind, cores: int, override: int | None = None) -> int:
    """Files at a time, at least 1. `override` is what somebody who knows the device has set.

    A head that moves between two files reads both slower than one after the other; a network mount hides its latency
    behind a second file and is slowed for everybody by more; whatever else is as fast as the cores hash.
    """
    if override is not None:
        return max(1, override)
    match kind:
        case "rotational":
            return 1
        case "network":
            return 2
        case "ssd" | "memory" | "overlay" | "unknown":
            return max(1, cores)
