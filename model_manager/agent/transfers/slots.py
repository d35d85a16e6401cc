"""Who may move bytes now: so many downloads at once, and one more that is small."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from model_manager.facts.shelf import ShelfPath


@dataclass(eq=False)
class _Waiter:
    path: ShelfPath
    small: bool
    turn: asyncio.Future[bool]


class Slots:
    """A slot that becomes free goes to the waiter with the lowest rank at that moment, not to the one that came first."""

    def __init__(self, count: int, rank: Callable[[ShelfPath], int]) -> None:
        """`rank`: the place of a model in the order of work as it is now."""
        self._free = count
        self._express = 1
        self._rank = rank
        self._waiting: list[_Waiter] = []

    @asynccontextmanager
    async def of(self, path: ShelfPath, *, small: bool) -> AsyncIterator[Callable[[], None]]:
        """Hold a slot. A `small` one that would wait takes the extra slot, so that it never waits behind large ones.

        What it gives lets go of the slot before the end; it may be called again.
        """
        express = await self._taken(path, small)
        with ExitStack() as held:
            held.callback(self._give_back, express)
            yield held.close

    async def _taken(self, path: ShelfPath, small: bool) -> bool:
        """Wait for a slot; whether it is the extra one."""
        if self._free and not self._waiting:
            self._free -= 1
            return False
        waiter = _Waiter(path, small, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.turn.cancelled():
                self._give_back(waiter.turn.result())
            raise

    def _give_back(self, express: bool) -> None:
        if express:
            self._express += 1
        else:
            self._free += 1
        self._serve()

    def _serve(self) -> None:
        while self._waiting and (self._free or self._express):
            express = not self._free
            fitting = [waiter for waiter in self._waiting if waiter.small] if express else self._waiting
            if not fitting:
                return
            waiter = min(fitting, key=lambda waiter: self._rank(waiter.path)) if len(fitting) > 1 else fitting[0]
            self._free, self._express = self._free - (not express), self._express - express
            self._waiting.remove(waiter)
            waiter.turn.set_result(express)
