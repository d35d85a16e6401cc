"""Which tokens machines say they have: every process before the database tells the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.tables import machine
from model_manager.facts import wire

KEPT: Final = 10_000
"""Machines that are remembered; who told longest ago is forgotten first."""


class Machines:
    """Raises CatalogUnavailable while the database is away. `now` gives ISO 8601 UTC."""

    def __init__(self, database: Database, now: Callable[[], str]) -> None:
        self._database = database
        self._now = now

    async def told(self, identity: str) -> frozenset[str] | None:
        """Names of its tokens; None when it never told."""
        async with self._database.reading() as connection:
            known = await _tokens(connection, identity)
        return None if known is None else frozenset(wire.loads(known))

    async def tell(self, identity: str, tokens: Collection[str]) -> None:
        """Nothing is written where the same is known."""
        text = wire.dumps(sorted(tokens)).decode()
        async with self._database.reading() as connection:
            if await _tokens(connection, identity) == text:
                return
        row = {"tokens": text, "told_at": self._now()}
        async with self._database.writing() as connection:
            this = update(machine).where(machine.c.id == identity)
            if (await connection.execute(this.values(row))).rowcount == 0:
                await connection.execute(insert(machine), [row | {"id": identity}])
                old = select(machine.c.id).order_by(machine.c.told_at.desc(), machine.c.id).offset(KEPT)
                await connection.execute(delete(machine).where(machine.c.id.in_(old)))


async def _tokens(connection: AsyncConnection, identity: str) -> str | None:
    text: str | None = (await connection.execute(select(machine.c.tokens).where(machine.c.id == identity))).scalar()
    return text
