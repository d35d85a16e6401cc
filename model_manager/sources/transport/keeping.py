"""Connections that wait for the next question, by whom they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from yarl import URL

from model_manager.sources.transport.dialling import Dialer
from model_manager.sources.transport.line import Line

IDLE: Final = 15.0
"""Seconds that an unused connection is kept; servers close theirs after 5 (Node) to 75 (nginx)."""

MOST_IDLE: Final = 32
"""Connections that are kept unused, all hosts together."""

Place = tuple[str, str, int]


class Lines:
    """Every connection of a client. `close` ends those that wait."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: list[tuple[float, Place, Line]] = []
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def direct(self) -> bool:
        return self._dialer.direct

    async def ask(self, url: URL, headers: Mapping[str, str], patience: float) -> Line:
        """A line at the head of its answer to GET, which came within so many seconds; to be given back with `leave`."""
        async with asyncio.timeout(patience):
            return await self._answered(url, headers)

    async def _answered(self, url: URL, headers: Mapping[str, str]) -> Line:
        """One that waited may have died meanwhile without our knowing: then nobody has seen the question."""
        if line := self._take(_place(url)):
            try:
                return await self._asked(line, url, headers)
            except OSError:
                if line.heard:
                    raise
        return await self._asked(Line(await self._dialer.dial(url)), url, headers)

    async def _asked(self, line: Line, url: URL, headers: Mapping[str, str]) -> Line:
        try:
            await line.ask(
                "GET", self._dialer.target(url), [("Host", url.host_port_subcomponent or ""), *headers.items()]
            )
        except BaseException:
            line.close()
            raise
        return line

    def _take(self, place: Place) -> Line | None:
        """The one that waited least and still stands."""
        for entry in reversed([entry for entry in self._idle if entry[1] == place]):
            self._idle.remove(entry)
            if _stands(entry[2]):
                return entry[2]
            entry[2].close()
        return None

    def leave(self, url: URL, line: Line) -> None:
        """Kept when another question can follow, else closed: nothing unread is worth reading. Whether it still stands is looked
        at when it is taken again."""
        if not _over(line):
            line.close()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time() + IDLE, _place(url), line))
        while len(self._idle) > MOST_IDLE:
            self._idle.pop(0)[2].close()
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE, self._sweep)

    def _sweep(self) -> None:
        loop, self._sweeping = asyncio.get_running_loop(), None
        while self._idle and self._idle[0][0] <= loop.time():
            self._idle.pop(0)[2].close()
        if self._idle:
            self._sweeping = loop.call_at(self._idle[0][0], self._sweep)

    def close(self) -> None:
        if self._sweeping:
            self._sweeping.cancel()
        while self._idle:
            self._idle.pop()[2].close()


def _over(line: Line) -> bool:
    try:
        line.skim()
        return line.over
    except OSError:
        return False


def _stands(line: Line) -> bool:
    try:
        return line.reusable
    except OSError:
        return False


def _place(url: URL) -> Place:
    return url.scheme, url.raw_host or "", url.port or 0
