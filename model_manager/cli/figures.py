"""Numbers as people read them."""

from __future__ import annotations


def size_text(size: float | None) -> str:
    """Bytes in powers of ten, as model pages give them: '6.94 GB'."""
    if size is None:
        return "?"
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= power:
            return f"{size / power:.2f} {unit}" if size < 10 * power else f"{size / power:.1f} {unit}"
    return f"{size:.0f} B"


def time_text(seconds: float | None) -> str:
    """Seconds as '42s', '3m10s' or '2h05m'."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
