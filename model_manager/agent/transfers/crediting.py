"""How often a wanted model was here already, when it was first wanted: the models' cache hits, and its misses."""

from __future__ import annotations

from model_manager.agent.board import Counters
from model_manager.facts.identity import Pin
from model_manager.facts.plan import Fetch, Keep, Link, Plan
from model_manager.facts.shelf import ShelfPath


class Crediting:
    """Each model counts once while it is wanted, when it is clear whether its bytes were here or must be fetched: never
    while a file is still read that may be it."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._credited: set[tuple[ShelfPath, Pin | None]] = set()

    def note(self, plan: Plan) -> None:
        """What a plan settles; what nobody wants any more is forgotten."""
        wanted = {(step.wanted.model.path, step.wanted.model.pin): step for step in plan.steps}
        self._credited &= wanted.keys()
        for key, step in wanted.items():
            if key in self._credited:
                continue
            match step:
                case Keep() | Link():
                    self._counters.cache_hits += 1
                case Fetch(waits=False):
                    self._counters.cache_misses += 1
                case _:
                    continue
            self._credited.add(key)
