"""Jobs that wait for nothing but models, as the functions of routing find them."""

from __future__ import annotations

from collections import Counter
from typing import Final

from redis.asyncio import Redis

from model_manager.bus import job_answers as answers
from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.facts.routed import Starved

SIGNATURES: Final = "200"
"""Of one call, which ends earlier when it takes long: some 2 ms of the server."""

CALLS: Final = 50
"""Of one look: 100 ms of the server at most. A pool with more kinds of jobs is gone through in several."""


class Starving:
    """A round through all requirements that jobs wait with."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._functions = Functions(redis)
        self._root = keys.routing
        self._cursor, self._jobs, self._models = _nothing()
        self._last: Starved | None = None

    async def look(self) -> Starved | None:
        """Goes on; what the last whole round found, None before the first. Raises BusUnavailable."""
        for _ in range(CALLS):
            _, (self._cursor, *told) = await self._functions.call(
                "mm_starving", (self._root,), (self._cursor, SIGNATURES)
            )
            for number, text in zip(told[::2], told[1::2], strict=True):
                self._note(int(number), answers.body(text)["models"])
            if self._cursor == "0":
                self._last = Starved(jobs=self._jobs, models=dict(self._models))
                self._cursor, self._jobs, self._models = _nothing()
                break
        return self._last

    def _note(self, jobs: int, models: list[object]) -> None:
        self._jobs += jobs
        for model in {answers.named(each) for each in models}:
            self._models[model] += jobs


def _nothing() -> tuple[str, int, Counter[str]]:
    """The beginning of a round."""
    return "0", 0, Counter()
