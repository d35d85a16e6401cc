"""Questions that come while others are answered are asked together: the busier it is, the less each of them costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from model_manager.catalog.records import Stored

MOST: Final = 2000
"""References that are asked for together; a question for more is asked alone."""

Look = Callable[[Collection[str]], Awaitable[Mapping[str, Stored]]]


class _Round:
    def __init__(self) -> None:
        self.references: dict[str, None] = {}
        self.found: Mapping[str, Stored] | None = None


class Gathering:
    """Every answer is of a moment after its question. Who comes first asks for all; if that fails, the next one asks."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._door = asyncio.Lock()
        self._next = _Round()

    async def ask(self, references: Collection[str]) -> dict[str, Stored]:
        """Raises what looking raises."""
        if len(references) > MOST // 2:
            return dict(await self._look(references))
        if len(self._next.references) + len(references) > MOST:
            self._next = _Round()
        ours = self._next
        ours.references.update(dict.fromkeys(references))
        async with self._door:
            if self._next is ours:
                self._next = _Round()
            if ours.found is None:
                ours.found = await self._look(ours.references.keys())
        return {each: ours.found[each] for each in references if each in ours.found}
