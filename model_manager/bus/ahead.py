"""A question that is asked before its answer is wanted: the server works while we do."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.errors import BusUnavailable


class Ahead:
    """One question at a time, on a connection of its own. It goes back to the pool when its answer was read whole, and else is
    closed: nobody ever reads what another one asked for. `drop` when no answer is wanted any more."""

    def __init__(self, redis: Redis) -> None:
        self._pool: Any = redis.connection_pool
        self._connection: Any = None
        self._failed: BusUnavailable | None = None

    @property
    def asked(self) -> bool:
        """Whether an answer, or why there is none, waits to be taken."""
        return self._connection is not None or self._failed is not None

    async def ask(self, *command: bytes | str | int) -> None:
        """Sends it. What goes wrong is raised to who takes the answer."""
        try:
            with translate():
                self._connection = await self._pool.get_connection()
                await self._connection.send_command(*command)
        except BusUnavailable as error:
            await self.drop()
            self._failed = error

    async def answer(self) -> Any:
        """Raises BusUnavailable."""
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        read = False
        try:
            with translate():
                answer: Any = await self._connection.read_response()
                read = True
            return answer
        finally:
            await (self._give_back() if read else self.drop())

    async def drop(self) -> None:
        """Whatever was asked is forgotten."""
        self._failed = None
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)
            await self._give_back()

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        await self._pool.release(connection)
