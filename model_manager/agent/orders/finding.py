"""Orders whose asker wants to know more than that they were done: what is known of files, what would go, what came back, and
whether models are taken that somebody wants to have here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from model_manager.agent.orders.obeying import Found
from model_manager.agent.orders.removing import Removing
from model_manager.agent.orders.showing import Showing
from model_manager.errors import ModelManagerError
from model_manager.facts import wire
from model_manager.facts.asked import asked_models
from model_manager.facts.model import Model
from model_manager.facts.order import MOST_SHOWN, Order

Fetch = Callable[[Sequence[Model]], None]
"""Has models beside the assignment. Raises BadUrl for an address that is never fetched from."""


class Finding:
    def __init__(self, showing: Showing, removing: Removing, fetch: Fetch) -> None:
        self._showing = showing
        self._removing = removing
        self._fetch = fetch

    async def find(self, order: Order, files: Sequence[str], missing: Sequence[str]) -> Found:
        """Carry it out; whatever keeps it from being done is in the answer."""
        try:
            return await self._found(order, files, missing)
        except ModelManagerError as error:
            return Found(body=wire.dumps({"error": str(error)}), why=str(error), refused=True)

    async def _found(self, order: Order, files: Sequence[str], missing: Sequence[str]) -> Found:
        match order.what:
            case "describe":
                pictures = "preview" in order.options
                shown = files[:MOST_SHOWN] if pictures else files
                told: dict[str, Any] = {"files": await self._showing.show(shown, pictures=pictures), "missing": missing}
                return Found(body=wire.dumps(told), files=len(shown))
            case "remove":
                told = await self._removing.remove(order, files) | {"missing": missing}
                said = "would go, nothing was touched" if told["dry"] else "removed"
                return _removed(told, f"{len(told['files'])} files {said}")
            case "fetch":
                models = asked_models({"models": [wire.loads(each, "a model to fetch") for each in order.files]})
                self._fetch(models)
                wanted = [str(model.path) for model in models]
                return Found(
                    body=wire.dumps({"wanted": wanted}), files=len(wanted), why=f"{len(wanted)} models are wanted"
                )
            case _:
                told = await self._removing.restore(order)
                return _removed(told, f"{len(told['files'])} files came back")


def _removed(told: dict[str, Any], said: str) -> Found:
    refused = told["refused"]
    why = f"{said}; {len(refused)} stay: {refused[0]['why']}" if refused else said
    return Found(body=wire.dumps(told), files=len(told["files"]), why=why, refused=bool(refused) and not told["files"])
