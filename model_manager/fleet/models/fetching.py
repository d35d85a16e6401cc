"""Models that machines are asked to fetch beside their assignment: from addresses that the request names, or from those that are
known here. What no machine could fetch is refused before anybody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from model_manager.decisions.sourcing import file_of
from model_manager.errors import BadUrl, ModelManagerError, Unavailable, printable
from model_manager.facts import wire
from model_manager.facts.asked import asked_models, asked_shape
from model_manager.facts.model import Model, Source
from model_manager.facts.order import MAX_NAME
from model_manager.fleet.models import shapes
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.offering import Offering, hash_of
from model_manager.fleet.pushing import group_of, insisted
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_body

MOST: Final = 200
"""Models of one request."""

MOST_SOURCES: Final = 5
"""Addresses of one model; they are tried in their order."""

AT_ONCE: Final = 32
"""Machines that are asked at the same time."""


class Fetching:
    """`check` raises BadUrl for an address that no machine fetches from."""

    def __init__(self, view: View, offering: Offering, enquiring: Enquiring, check: Callable[[str], object]) -> None:
        self._view = view
        self._offering = offering
        self._enquiring = enquiring
        self._check = check

    async def one(self, asked: Asked, body: dict[str, Any]) -> shapes.FetchOrdered:
        """Raises Answer 400, 404, 409 when nobody knows where a model is or the machine refuses it, 503 when it does not reply."""
        machines = insisted(self._view, [asked["machine_id"]])
        models, told = await self._meant(body)
        await self._ask(machines[0], models)
        return _ordered(told, [shapes.FetchAnswer(machine_id=machines[0], accepted=True, why="")])

    async def many(self, _: Asked, body: dict[str, Any]) -> shapes.FetchOrdered:
        """Each machine answers for itself. Raises Answer 400, 404, 409 when nobody knows where a model is."""
        machines = group_of(self._view, body)
        models, told = await self._meant(body)
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(machine_id: str) -> shapes.FetchAnswer:
            try:
                async with turn:
                    await self._ask(machine_id, models)
            except (Answer, Unavailable) as error:
                why = error.detail if isinstance(error, Answer) else str(error)
                return shapes.FetchAnswer(machine_id=machine_id, accepted=False, why=printable(why, 500))
            return shapes.FetchAnswer(machine_id=machine_id, accepted=True, why="")

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(each), name=f"fetch {each}") for each in machines]
        return _ordered(told, [each.result() for each in asked])

    async def _ask(self, machine_id: str, models: Sequence[Model]) -> None:
        """Raises Answer 409 for what it refuses, 503 when it does not reply; BusUnavailable."""
        files = [wire.dumps(each).decode() for each in asked_shape(models)["models"]]
        await self._enquiring.ask(machine_id, "fetch", files)

    async def _meant(self, body: Mapping[str, Any]) -> tuple[list[Model], list[shapes.FetchedModel]]:
        if unknown := sorted(str(name) for name in body.keys() - {"models"}):
            raise bad_body(f"There is no field '{printable(unknown[0], 60)}'. Use 'models'.")
        found = [await self._sourced(each) for each in _read(body.get("models"))]
        models = [model for model, _ in found]
        for each in asked_shape(models)["models"]:
            if len(wire.dumps(each).decode()) > MAX_NAME:
                raise bad_body(f"The addresses of '{printable(each['path'], 200)}' are too long. Name fewer of them.")
        return models, [_told(model, teller) for model, teller in found]

    async def _sourced(self, model: Model) -> tuple[Model, str]:
        """With addresses, and who knew them; "" when the request did."""
        if model.sources:
            return replace(model, sources=tuple(self._judged(each) for each in model.sources)), ""
        found = await self._offering.found(model.path, pin=model.pin)
        if found.model is None:
            doubts = f" ({'; '.join(found.doubts)})" if found.doubts else ""
            raise Answer(409, "no-source", f"{found.why}{doubts}")
        sources = tuple(map(self._judged, found.model.sources[:MOST_SOURCES]))
        teller = next(each.teller for each in found.places if each.url == found.model.sources[0].url)
        pin, size = model.pin or found.model.pin, model.size or found.model.size
        return replace(model, sources=sources, pin=pin, size=size), teller

    def _judged(self, source: Source) -> Source:
        """Raises Answer 400 for an address that leads where nothing is fetched from."""
        url = file_of(source.url)
        try:
            self._check(url)
        except BadUrl as error:
            detail = f"The address '{printable(error.facts['url'], 300)}' is refused: {error.facts['why']}. Name another one."
            raise Answer(400, "bad-address", detail) from None
        return replace(source, url=url)


def _read(items: Any) -> Sequence[Model]:
    """Raises Answer 400. A model without 'sources' has none yet."""
    if not isinstance(items, list) or not 1 <= len(items) <= MOST:
        raise bad_body(f"'models' is no list of 1 to {MOST} models.")
    for each in items:
        sources = each.get("sources", []) if isinstance(each, dict) else None
        if not isinstance(sources, list) or each.keys() - {"path", "sources", "hash", "size"}:
            raise bad_body("A model has 'path', and perhaps 'sources' (a list of addresses), 'hash' and 'size'.")
        if len(sources) > MOST_SOURCES:
            raise bad_body(f"A model has at most {MOST_SOURCES} 'sources'; they are tried in their order.")
    try:
        return asked_models({"models": [{"sources": [], **each} for each in items]})
    except ModelManagerError as error:
        raise bad_body(printable(error, 500)) from None


def _told(model: Model, teller: str) -> shapes.FetchedModel:
    urls = tuple(source.url for source in model.sources)
    return shapes.FetchedModel(path=str(model.path), sources=urls, hash=hash_of(model.pin), teller=teller)


def _ordered(models: Sequence[shapes.FetchedModel], items: Sequence[shapes.FetchAnswer]) -> shapes.FetchOrdered:
    took = sum(each.accepted for each in items)
    refused = f" {len(items) - took} did not; see 'items'." if took < len(items) else ""
    message = f"{took} of {len(items)} machines took it.{refused} GET /downloads says how far they are."
    return shapes.FetchOrdered(models=tuple(models), items=tuple(items), message=message)
