"""Which bytes does a request for a file want? RFC 9110, sections 13.1.5 (If-Range) and 14."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
_MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """All of it, as status 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """From `start` up to but not including `end`, as status 206."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Nothing that the file has, as status 416."""


Wish = Whole | Part | Beyond


def wish(range_header: str | None, if_range: str | None, *, etag: str, size: int) -> Wish:
    """What to send of an object of `size` bytes whose strong entity tag is `etag` (with its quotes).

    An If-Range that is anything but that very tag (weak, another, a date) means that the asker holds another object:
    it gets the whole. Several ranges at once, and what is no range, are ignored, as the RFC allows.
    """
    match = _ONE_RANGE.fullmatch(range_header) if range_header else None
    if match is None or (if_range is not None and if_range.strip() != etag):
        return Whole()
    first, last = match.groups()
    if not (first or last) or max(len(first), len(last)) > _MOST_DIGITS:
        return Whole()
    if not first:
        return Part(start=max(0, size - int(last)), end=size) if int(last) and size else Beyond()
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return Whole()
    return Part(start=start, end=end) if start < size else Beyond()
