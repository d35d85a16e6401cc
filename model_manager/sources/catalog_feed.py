"""What a catalog says of itself as it changes: its change feed, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model_manager.errors import BadRecord, CatalogUnavailable
from model_manager.facts import wire

ROUTE: Final = "/changes/stream"

SILENCE: Final = 50.0
"""Seconds without a byte after which nobody is there any more; the server gives a sign of life each 15."""

MAX_EVENT: Final = 64 * 1024
"""Bytes of one event."""

_CURSOR: Final = 100
"""Characters of a cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One saying of the feed. `cursor`: where it goes on after this. `subjects`: ids and names of what changed, empty when only
    the place was told, None when anything may have changed."""

    cursor: str
    subjects: frozenset[str] | None


async def heard(pieces: AsyncIterator[bytes], host: str) -> AsyncIterator[Heard]:
    """The sayings in the bytes of a stream. Raises CatalogUnavailable for what is none of our feed's."""
    waiting = b""
    async for piece in pieces:
        waiting = (waiting + piece).replace(b"\r\n", b"\n")
        *events, waiting = waiting.split(b"\n\n")
        if max(map(len, (*events, waiting))) > MAX_EVENT:
            raise CatalogUnavailable(host=host, why=f"an event of its feed is larger than {MAX_EVENT} bytes")
        for event in events:
            if (told := _told(_fields(event.split(b"\n")), host)) is not None:
                yield told


def _fields(lines: Iterable[bytes]) -> Mapping[str, str]:
    """Comments, which begin with a colon, are signs of life."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if name:
            value = value.removeprefix(" ")
            found[name] = f"{found[name]}\n{value}" if name == "data" and name in found else value
    return found


def _told(fields: Mapping[str, str], host: str) -> Heard | None:
    """None for what has no data, and for events of a later version."""
    event, cursor = fields.get("event"), fields.get("id", "")
    if "data" not in fields or event not in ("here", "gap", "change"):
        return None
    if not 0 < len(cursor) <= _CURSOR or not cursor.isascii() or not cursor.isprintable():
        raise CatalogUnavailable(host=host, why="an event of its feed has no cursor")
    if event == "here":
        return Heard(cursor=cursor, subjects=frozenset())
    return Heard(cursor=cursor, subjects=None if event == "gap" else _subjects(fields["data"], host))


def _subjects(data: str, host: str) -> frozenset[str] | None:
    """Who changed. A kind that we do not know may be anything."""
    try:
        change = wire.loads_unique(data.encode(), "an event")
    except BadRecord as error:
        raise CatalogUnavailable(host=host, why=f"an event of its feed cannot be read: {error.facts['why']}") from None
    if not isinstance(change, dict) or change.get("kind") not in ("model", "workflow", "collection"):
        return None
    names = {value for key in ("id", "name") if isinstance(value := change.get(key), str) and value}
    return frozenset(names) or None
