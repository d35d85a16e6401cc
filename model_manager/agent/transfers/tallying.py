"""How fast everything comes together: bytes over the network, whatever files they belong to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model_manager.facts.event import DownloadStarted, DownloadVerified, Event
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer

WINDOW: Final = 20.0
"""Seconds over which the speed is taken: a time left that jumps with every gust helps nobody."""

SHORTEST: Final = 1.0
"""Seconds before a speed is believed."""

_BUSY: Final = frozenset({Phase.RESOLVING, Phase.FETCHING})


@dataclass
class _Seen:
    """`bytes` of the file when last looked at, None before the first look at a resumed one; `counted` as received."""

    bytes: int | None
    counted: int = 0

    def look(self, have: int) -> int:
        """Bytes that are new since the last look."""
        new = max(0, have - self.bytes) if self.bytes is not None else 0
        self.bytes = have
        self.counted += new
        return new


class Tally:
    """Bytes per second over the last WINDOW seconds in which something was asked for or came.

    A sum over running downloads would miss what begins and ends between two looks, and count what an earlier run left
    behind: the events say where a download begins, and in the end what it fetched.
    """

    def __init__(self) -> None:
        self._seen: dict[ShelfPath, _Seen] = {}
        self._received = 0
        self._busy = 0.0
        self._last: float | None = None
        self._marks: deque[tuple[float, int]] = deque([(0.0, 0)])
        self.speed = 0.0

    def look(self, now: float, transfers: Mapping[ShelfPath, Transfer], events: Iterable[Event]) -> None:
        """What was told since the last look, then how far everything is. `now` in monotonic seconds."""
        ended = sum(self._hear(event) for event in events) > 0
        for path in self._seen.keys() - transfers.keys():
            del self._seen[path]
        self._received += sum(
            seen.look(transfers[path].bytes)
            for path, seen in self._seen.items()
            if transfers[path].phase is Phase.FETCHING
        )
        busy = ended or any(transfer.phase in _BUSY for transfer in transfers.values())
        self._advance(now, busy)
        if not transfers:
            self._marks = deque([(self._busy, self._received)])
        self.speed = self._measured() if busy else 0.0

    def _hear(self, event: Event) -> bool:
        """Whether a download ended by it."""
        match event:
            case DownloadStarted(folder=folder, name=name, resumed_at=resumed_at):
                path = ShelfPath(folder=folder, name=name)
                self._seen.setdefault(path, _Seen(None if resumed_at else 0))
                return False
            case DownloadVerified(folder=folder, name=name, fetched=fetched):
                seen = self._seen.pop(ShelfPath(folder=folder, name=name), None)
                self._received += max(0, fetched - (seen.counted if seen else 0))
                return True
            case _:
                return False

    def _advance(self, now: float, busy: bool) -> None:
        """Time passes only while something is busy: a minute's wait for a server says nothing of the line."""
        if busy and self._last is not None:
            self._busy += now - self._last
        self._last = now
        self._marks.append((self._busy, self._received))
        while len(self._marks) > 2 and self._busy - self._marks[1][0] >= WINDOW:
            self._marks.popleft()

    def _measured(self) -> float:
        (begun, before), (ended, after) = self._marks[0], self._marks[-1]
        return (after - before) / (ended - begun) if ended - begun >= SHORTEST else 0.0
