"""A workflow that somebody drops on a page, or a picture that carries one: what it needs, and who could run it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from aiohttp import web

from model_manager.decisions.needing import known_models, meant, names
from model_manager.decisions.resolving import wishes
from model_manager.decisions.sourcing import places
from model_manager.decisions.workflows.referring import carried
from model_manager.errors import BadPath, BadWorkflow, ModelManagerError, printable
from model_manager.facts.fleet import Needed
from model_manager.facts.model import Assignment, Model
from model_manager.facts.resolution import Wish
from model_manager.facts.shelf import WEIGHTS, ShelfPath
from model_manager.facts.workflow import Reference, Workflow
from model_manager.fleet.forecasts import Stock
from model_manager.fleet.matrix import shapes
from model_manager.fleet.needs import PATIENCE, Describe
from model_manager.fleet.view import View
from model_manager.library.carried.embedded import embedded_in
from model_manager.serving.answering import answered
from model_manager.serving.asking import asked
from model_manager.serving.problems import Answer
from model_manager.serving.receiving import received

MOST: Final = 1_000
"""Models of one answer."""

WHAT: Final = "the dropped file"


SHOWN: Final = 100
"""Holders of one model that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One file that the workflow names. `wish` has what the catalog's `model` promises; `path` None: nobody can place it."""

    reference: Reference
    wish: Wish
    model: Model | None
    path: ShelfPath | None
    size: int | None


class Dropping:
    """`describe` asks the catalog, None when there is none."""

    def __init__(self, view: View, describe: Describe | None) -> None:
        self._view = view
        self._describe = describe

    async def analyze(self, request: web.Request) -> web.StreamResponse:
        """Raises Answer 400, 408, 413 and 422."""
        asked(request, ())
        data = await received(request, "workflow")
        try:
            workflow = await asyncio.to_thread(understood, data)
        except BadWorkflow as error:
            raise Answer(422, "no-workflow", printable(error, 500)) from None
        catalog, doubt = await self._catalogued(workflow)
        return answered(request, self.told(workflow, catalog, doubt))

    async def _catalogued(self, workflow: Workflow) -> tuple[dict[str, Model], str]:
        """What the catalog says of the models, and why it could not be asked."""
        asked_for = names([workflow])[:MOST]
        if self._describe is None or not asked_for:
            return {}, ""
        try:
            async with asyncio.timeout(PATIENCE):
                described = await self._describe(Assignment(models=asked_for))
        except TimeoutError:
            return {}, f"the catalog did not answer within {PATIENCE:.0f} s"
        except ModelManagerError as error:
            return {}, printable(error)
        return known_models(described), "; ".join(described.doubts)

    def told(self, workflow: Workflow, catalog: Mapping[str, Model], doubt: str = "") -> shapes.Dropped:
        """What the fleet says of it."""
        self._view.rows()
        named = list(islice(self._named(workflow, catalog), MOST))
        needed = {
            each.path.slot: Needed(path=each.path, size=each.size, pin=each.wish.pin)
            for each in named
            if each.path and each.reference.active
        }
        sure = workflow.complete and all(
            each.path or not each.reference.active or each.reference.confidence == "guess" for each in named
        )
        stock = Stock(self._view, list(needed.values()))
        return shapes.Dropped(
            form=workflow.form,
            complete=workflow.complete,
            models=tuple(map(self._model, named)),
            items=tuple(sorted(self._runners(list(needed.values()), stock, sure), key=_readiest)),
            oddities=tuple(shapes.Odd(why=each.why, node="/".join(each.node)) for each in workflow.oddities),
            doubts=(doubt,) if doubt else (),
        )

    def _named(self, workflow: Workflow, catalog: Mapping[str, Model]) -> Iterator[_Named]:
        for reference in workflow.references:
            for plain in wishes(workflow, reference):
                wish, model = meant(plain, catalog)
                path = self._place(wish)
                sizes = [self._view.rows()[place].size for place in self._view.catalogue.places(path)] if path else []
                size = sizes[0] if sizes else model.size.bytes if model and model.size else None
                yield _Named(reference=reference, wish=wish, model=model, path=path, size=size)

    def _runners(self, needed: Sequence[Needed], stock: Stock, sure: bool) -> Iterator[shapes.Runner]:
        """`sure`: all that is needed is known."""
        for machine_id in self._view.ids:
            if (state := self._view.state(machine_id)) == "away":
                continue
            takes = stock.takes(needed, machine_id)
            yield shapes.Runner(
                machine_id=machine_id,
                state=state,
                has_all=takes.nothing if sure else None,
                missing=takes.missing,
                bytes=takes.bytes,
                unknown=takes.unknown,
                fits=takes.fits,
            )

    def _place(self, wish: Wish) -> ShelfPath | None:
        """Where the fleet has it, else where it belongs; None for a directory, and for what nobody can place."""
        if wish.kind == "directory":
            return None
        endings = sorted(WEIGHTS, key=_usual_first) if wish.kind == "stem" else [""]
        paths = [path for folder in wish.folders for ending in endings if (path := _path(folder, wish.name + ending))]
        known = (path for path in paths if any(self._view.catalogue.places(path)))
        return next(known, paths[0] if paths else None)

    def _model(self, each: _Named) -> shapes.NamedModel:
        reference, path = each.reference, each.path
        found = sorted(self._view.catalogue.places(path)) if path else []
        row = self._view.rows()[found[0]] if found else None
        told = reference.url if len(reference.names) == 1 else ""
        return shapes.NamedModel(
            folder=row.folder if row else each.wish.folder,
            name=row.name if row else path.name if path else each.wish.name,
            text=reference.text,
            kind=reference.kind,
            confidence=reference.confidence,
            reason=reference.reason,
            active=reference.active,
            url=reference.url,
            hash=each.wish.pin.hex if each.wish.pin else "",
            size=each.size,
            machines=row.machines if row else 0,
            verified=row.verified if row else 0,
            holders=self._holders(found[0]) if found else (),
            sources=tuple(
                shapes.Offered(url=place.url, teller=place.teller, weight=place.weight, why=place.why)
                for place in places(each.wish, told=told, catalog=each.model)
            ),
        )

    def _holders(self, place: str) -> tuple[str, ...]:
        held = self._view.who_has(place).items()
        return tuple(sorted(machine_id for machine_id, copies in held if any(copy.verified for copy in copies))[:SHOWN])


def understood(data: bytes) -> Workflow:
    """Blocks. Raises BadWorkflow."""
    found = embedded_in(data, WHAT)
    return carried(WHAT, found.document, found.prompt, found.workflow)


def _path(folder: str, name: str) -> ShelfPath | None:
    with suppress(BadPath):
        return ShelfPath.parse(f"{folder}/{name}", name.rpartition("/")[2])
    return None


def _usual_first(ending: str) -> tuple[bool, str]:
    return ending != ".safetensors", ending


def _readiest(runner: shapes.Runner) -> tuple[bool, bool, int, str]:
    return not runner.has_all, runner.state != "live", runner.bytes, runner.machine_id
