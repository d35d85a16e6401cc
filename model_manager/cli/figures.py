"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_UNITS: Final = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size_text(size: float | None) -> str:
    """Bytes in powers of ten, as model pages give them: '6.94 GB'."""
    if size is None:
        return "?"
    for unit, power in _UNITS:
        if size >= power:
            return f"{size / power:.2f} {unit}" if size < 10 * power else f"{size / power:.1f} {unit}"
    return f"{size:.0f} B"


def part_text(part: float, whole: float | None, between: str = " of ") -> str:
    """Both in the unit of the larger: '14.2 of 80.1 GB'; '14.2 GB' while the whole is unknown."""
    if not whole:
        return size_text(part)
    unit, power = next((each for each in _UNITS if max(part, whole) >= each[1]), ("B", 1))
    return f"{part / power:.{int(power > 1)}f}{between}{whole / power:.{int(power > 1)}f} {unit}"


def speed_text(speed: float) -> str:
    """Bytes per second: '412 MB/s'."""
    for unit, power in _UNITS:
        if speed >= power:
            return f"{speed / power:.0f} {unit}/s" if speed >= 100 * power else f"{speed / power:.1f} {unit}/s"
    return f"{speed:.0f} B/s"


def time_text(seconds: float | None) -> str:
    """Seconds as '42s', '3m10s' or '2h05m'."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def spoken_time(seconds: float) -> str:
    """Seconds as '42 s', '3 min 10 s' or '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def until_text(moment: str, now: datetime) -> str:
    """When it is tried again, from an ISO 8601 moment: 'again in 42s', 'again now'; empty when it never is."""
    try:
        seconds = (datetime.fromisoformat(moment) - now).total_seconds()
    except (ValueError, TypeError):
        return ""
    return f"again in {time_text(seconds)}" if seconds >= 1 else "again now"


def total_text(total: Mapping[str, Any]) -> str:
    """Many models in a sentence: '3 of 12 models, 14.2 of 80.1 GB, 412 MB/s, 2 min 40 s left, 1 waiting'."""
    parts = [f"{total['present']} of {total['models']} models"]
    if total["total"]:
        parts.append(part_text(total["bytes"], total["total"]))
    if total["speed"]:
        parts.append(speed_text(total["speed"]))
    if total["eta"] is not None:
        parts.append(f"{at_least(total)}{spoken_time(total['eta'])} left")
    return ", ".join(parts + counts(total, "unknown", "waiting", "failed"))


def at_least(total: Mapping[str, Any]) -> str:
    """A time that leaves out models of unknown size promises less."""
    return "at least " if total["unknown"] else ""


def counts(total: Mapping[str, Any], *words: str) -> list[str]:
    """How many are what, leaving out what none is: ['2 of unknown size', '1 waiting']."""
    said = {"unknown": "of unknown size"}
    return [f"{total[word]} {said.get(word, word)}" for word in words if total[word]]
