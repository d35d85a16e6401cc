"""What routing counts, brought into the view: what became of jobs, and when models were last needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from model_manager.errors import BusUnavailable
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet.models.usage import Ran, Usage
from model_manager.fleet.view import View


class Tallying:
    """`routed`, `ran` and `starving` ask Redis, and raise BusUnavailable."""

    def __init__(
        self,
        view: View,
        routed: Callable[[], Awaitable[Routed]],
        ran: Callable[[Iterable[str]], Awaitable[Mapping[str, Ran]]],
        starving: Callable[[], Awaitable[Starved | None]],
    ) -> None:
        self._view = view
        self._routed = routed
        self._ran = ran
        self._starving = starving
        self._claims = -1
        self._machines: list[str] = []

    async def look(self) -> None:
        """Machines are only asked when a job was claimed since the last look, or others came. Raises BusUnavailable."""
        routed, machines = await self._routed(), self._view.ids
        if routed.claims != self._claims or machines != self._machines:
            self._view.usage = Usage(await self._ran(machines))
            self._claims, self._machines = routed.claims, machines
        self._view.routed = routed
        self._view.starved = await self._starved() if routed.waiting else Starved(jobs=0, models={})

    async def _starved(self) -> Starved | None:
        """None where that is not known yet, or may not be asked: it takes the right to call functions."""
        try:
            return await self._starving()
        except BusUnavailable:
            return None
