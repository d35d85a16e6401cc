"""How is one value of a JSON file changed, and every other byte kept?

The text is looked through, never written anew: order, blanks, escapes and numbers stay as their writer left them. Of a name that
stands twice in an object the last one counts, as for every reader of JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from model_manager.errors import BadWorkflow
from model_manager.facts.workflow import Spot

BOM: Final = b"\xef\xbb\xbf"

_BLANK = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_PLAIN = re.compile(rb'[^\s,\]\}\[\{":]++')
_NESTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')
_ASCII = re.compile(rb"\A[\x00-\x7f]*+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One text to change: where it stands, what must stand there (else the file is another one by now), and the new text. With a
    `span`, `old` and `new` are that part of the string."""

    spot: Spot
    old: str
    new: str


def patched(data: bytes, edits: Sequence[Edit], what: str) -> bytes:
    """The file with these texts changed. Nothing is changed when one of them cannot be.

    Raises BadWorkflow(what) when the file is no JSON in UTF-8, or does not say what was expected at one of the places.
    """
    found = [(*span(data, edit.spot.keys, what), edit) for edit in _once(edits)]
    changes: dict[tuple[int, int], list[Edit]] = {}
    for start, end, edit in found:
        changes.setdefault((start, end), []).append(edit)
    pieces, at = [], 0
    for (start, end), same in sorted(changes.items(), key=lambda change: change[0]):
        pieces += [data[at:start], _written(data, _changed(_text(data[start:end], what), same, what))]
        at = end
    result = b"".join((*pieces, data[at:]))
    _insist(result, what)
    return result


def span(data: bytes, keys: Sequence[str | int], what: str) -> tuple[int, int]:
    """Where the value at a path begins and ends, in bytes. Raises BadWorkflow when there is no such value."""
    at = _skip(data, len(BOM) if data.startswith(BOM) else 0)
    for key in keys:
        at = _member(data, at, key, what) if isinstance(key, str) else _item(data, at, key, what)
    return at, _end(data, at, what)


def _once(edits: Sequence[Edit]) -> list[Edit]:
    return list(dict.fromkeys(edits))


def _skip(data: bytes, at: int) -> int:
    found = _BLANK.match(data, at)
    return found.end() if found else at


def _end(data: bytes, at: int, what: str) -> int:
    """Behind the value that begins at `at`."""
    first = data[at : at + 1]
    if first == b'"':
        found = _STRING.match(data, at)
    elif first in (b"{", b"["):
        return _closing(data, at, what)
    else:
        found = _PLAIN.match(data, at)
    if found is None:
        raise _odd(what, "it ends in the middle, or is no JSON")
    return found.end()


def _closing(data: bytes, at: int, what: str) -> int:
    depth = 0
    for found in _NESTED.finditer(data, at):
        mark = data[found.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if not depth:
                return found.end()
    raise _odd(what, "a bracket is never closed")


def _members(data: bytes, at: int, what: str) -> Iterator[tuple[int, int]]:
    """Where the items of an array, or the names of an object, begin, and where the value of each begins."""
    named = data[at : at + 1] == b"{"
    at = _skip(data, at + 1)
    while data[at : at + 1] not in (b"]", b"}"):
        begin = value = at
        if named:
            value = _skip(data, _end(data, at, what))
            if data[value : value + 1] != b":":
                raise _odd(what, "a name in it has no value")
            value = _skip(data, value + 1)
        yield begin, value
        at = _skip(data, _end(data, value, what))
        if data[at : at + 1] == b",":
            at = _skip(data, at + 1)
        elif data[at : at + 1] not in (b"]", b"}"):
            raise _odd(what, "it is no JSON")


def _member(data: bytes, at: int, key: str, what: str) -> int:
    if data[at : at + 1] != b"{":
        raise _odd(what, f"where '{key}' is expected stands no object")
    place = None
    for begin, value in _members(data, at, what):
        if _text(data[begin : _end(data, begin, what)], what) == key:
            place = value
    if place is None:
        raise _odd(what, f"there is no '{key}' where it was")
    return place


def _item(data: bytes, at: int, index: int, what: str) -> int:
    if data[at : at + 1] != b"[":
        raise _odd(what, f"where item {index} is expected stands no list")
    for number, (_, value) in enumerate(_members(data, at, what)):
        if number == index:
            return value
    raise _odd(what, f"there is no item {index} where it was")


def _text(literal: bytes, what: str) -> str:
    try:
        found = json.loads(literal) if literal[:1] == b'"' else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, str):
        raise _odd(what, "where a text was expected stands something else")
    return found


def _changed(text: str, edits: Sequence[Edit], what: str) -> str:
    """A text with all its changes, the last part first, so that no place moves before its turn."""
    parts = sorted(edits, key=lambda edit: edit.spot.span or (0, len(text)), reverse=True)
    if any((early.spot.span or (0, len(text)))[1] > (late.spot.span or (0, 0))[0] for late, early in pairwise(parts)):
        raise _odd(what, "two changes overlap")
    for edit in parts:
        start, end = edit.spot.span or (0, len(text))
        if text[start:end] != edit.old:
            raise _odd(what, f"it says '{text[start:end]}' where '{edit.old}' was read")
        text = text[:start] + edit.new + text[end:]
    return text


def _written(data: bytes, text: str) -> bytes:
    """A text as this file writes texts: letters beyond ASCII are escaped where the whole file has none."""
    plain = json.dumps(text, ensure_ascii=_ASCII.match(data) is not None)
    try:
        return plain.encode()
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def _insist(data: bytes, what: str) -> None:
    try:
        json.loads(data.removeprefix(BOM).decode())
    except (ValueError, RecursionError):
        raise _odd(what, "it is no JSON in UTF-8") from None


def _odd(what: str, why: str) -> BadWorkflow:
    return BadWorkflow(name=what, why=why)
