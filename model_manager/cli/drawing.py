"""How far everything is, as lines of a terminal: a line for each download, and one for all together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from model_manager.cli.figures import at_least, counts, part_text, speed_text, time_text, until_text
from model_manager.errors import printable

MOVING: Final = frozenset({"resolving", "fetching", "verifying", "placing"})
_STYLES: Final = {"waiting": "yellow", "failed": "red"}

MOST: Final = 12
"""Downloads that get a line of their own, in a terminal that is high enough."""

AROUND: Final = 6
"""Lines of the terminal that are left for what was said before."""

_FIGURES: Final = ((0, "percent"), (44, "speed"), (58, "eta"), (70, "size"), (110, "lines"))
"""From how many columns on a figure is shown."""

_WIDTHS: Final = {"percent": 4, "speed": 10, "eta": 6, "size": 15, "lines": 4}


def drawn(progress: Mapping[str, Any], width: int, height: int, now: datetime) -> list[Text]:
    """What `/progress` says, in a terminal of so many columns and lines; nothing when nothing moves or waits."""
    transfers = progress["transfers"]
    if not transfers:
        return []
    room = max(1, min(MOST, height - AROUND))
    rows = [_row(each, width, now) for each in transfers[:room]]
    if (more := len(transfers) - room) > 0:
        rows.append(Text(f"  and {more} more", style="dim"))
    required, optional = progress["total"], progress["optional"]
    both = [_together(required, "total", width)] if required["present"] < required["models"] else []
    if optional["moving"] or not both:
        both.append(_together(optional, "optional", width))
    return [*rows, *both]


def _row(each: Mapping[str, Any], width: int, now: datetime) -> Text:
    if each["phase"] not in MOVING:
        return _stuck(each, width, now)
    figures = [name for least, name in _FIGURES if width >= least]
    right = sum(_WIDTHS[name] + 1 for name in figures)
    bar = max(0, min(24, (width - right) // 3)) if width >= 58 else 0
    name = width - right - (bar + 3 if bar else 1) - 2
    line = Text(f"  {_fitted(_name(each, name), name)} ")
    if bar:
        line.append_text(_bar(_part(each), bar))
        line.append("  ")
    for figure in figures:
        line.append(f"{_figure(each, figure):>{_WIDTHS[figure]}} ")
    line.rstrip()
    return line


def _stuck(each: Mapping[str, Any], width: int, now: datetime) -> Text:
    """It waits or failed: what counts is why, and when it is tried again."""
    when = until_text(each["retry_at"], now)
    attempt = f"attempt {each['attempt']}" if each["attempt"] > 1 else ""
    aside = ", ".join(filter(None, (when, attempt)))
    word = f"{each['phase']} ({aside}): " if aside else f"{each['phase']}: "
    name = min(36, width // 3)
    line = f"  {_fitted(_name(each, name), name)} {word}{printable(each['why'], 400)}"
    return Text(_cut(line, width - 1), style=_STYLES.get(each["phase"], ""))


def _part(each: Mapping[str, Any]) -> float | None:
    return min(1.0, each["bytes"] / each["total"]) if each["total"] else None


def _figure(each: Mapping[str, Any], figure: str) -> str:
    """A figure of what moves; a phase without figures says its name where the figures would be."""
    fetching, part = each["phase"] == "fetching", _part(each)
    match figure:
        case "percent":
            return "" if part is None or each["phase"] == "resolving" else f"{int(100 * part)}%"
        case "speed":
            return (speed_text(each["speed"]) if each["speed"] else "") if fetching else str(each["phase"])
        case "eta":
            return time_text(each["eta"]) if fetching else ""
        case "size":
            return part_text(each["bytes"], each["total"], "/") if fetching else ""
        case _:
            return f"{each['connections']}×" if fetching and each["connections"] > 1 else ""


def _bar(part: float | None, width: int) -> Text:
    done = int(width * (part or 0.0))
    return Text.assemble(("━" * done, "cyan"), ("━" * (width - done), "bright_black"))


def _together(total: Mapping[str, Any], kind: str, width: int) -> Text:
    """One line, of which the least important goes first when the terminal is narrow."""
    word = ("" if kind == "total" else " optional") + (" models" if width >= 50 else "")
    line = f"  {total['present']} of {total['models']}{word}"
    for part in _parts(total):
        if cell_len(f"{line}, {part}") >= width:
            break
        line = f"{line}, {part}"
    return Text(_cut(line, width - 1), style="bold" if kind == "total" else "")


def _parts(total: Mapping[str, Any]) -> list[str]:
    parts = [part_text(total["bytes"], total["total"])] if total["total"] else []
    if total["eta"] is not None:
        parts.append(f"{at_least(total)}{time_text(total['eta'])} left")
    if total["speed"]:
        parts.append(speed_text(total["speed"]))
    return parts + counts(total, "failed", "waiting", "queued", "unknown")


def _name(each: Mapping[str, Any], width: int) -> str:
    """Folder and name, or the name alone where both do not fit."""
    whole = printable(f"{each['folder']}/{each['name']}", 400)
    return whole if cell_len(whole) <= width else printable(each["name"], 400)


def _fitted(text: str, width: int) -> str:
    return set_cell_size(_cut(text, width), width)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
