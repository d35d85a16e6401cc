"""What a workflow means for this machine: what is here, what is missing, where that could come from, and what it would take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from model_manager.agent.assignment.judging import Judged, judgement
from model_manager.agent.board import Board
from model_manager.agent.threads import finishing
from model_manager.decisions.needing import known_models, meant, names, offered
from model_manager.decisions.workflows.referring import carried
from model_manager.errors import CatalogUnavailable
from model_manager.facts.flow import Flow
from model_manager.facts.model import Assignment, Described, Model
from model_manager.facts.resolution import Resolved, Ruling
from model_manager.facts.sourcing import Place
from model_manager.facts.workflow import Workflow
from model_manager.index.reading import Shop
from model_manager.library.carried.embedded import embedded_in

PATIENCE: Final = 10.0
"""Seconds that an answer waits for the catalog."""

MOST: Final = 1_000
"""Models of one answer, and models that the catalog is asked for."""

CANDIDATES: Final = 5
"""Files that are told of one model."""

HERE: Final = frozenset({"loads", "unproven"})

Describe = Callable[[Assignment], Awaitable[Described]]


class Analyzing:
    """Nothing of what is asked about is kept."""

    def __init__(self, board: Board, shop: Callable[[], Shop], describe: Describe) -> None:
        """`shop` opens the index to read it."""
        self._board = board
        self._shop = shop
        self._describe = describe

    async def sent(self, data: bytes) -> dict[str, Any]:
        """For a file that somebody sends. Raises BadWorkflow, IndexUnavailable."""
        return await self._of([await finishing(_read, data)])

    async def files(self) -> dict[str, Any]:
        """For the workflow files that are assignments of this machine. Raises IndexUnavailable."""
        return {"items": [await self._assigned(flow) for flow in self._board.flows or ()]}

    async def _assigned(self, flow: Flow) -> dict[str, Any]:
        said = await self._of([flow.workflow]) if flow.workflow else {}
        return {"workflow": flow.name, "file": flow.file, "why": flow.why, **said}

    async def _of(self, workflows: list[Workflow]) -> dict[str, Any]:
        catalog, doubts = await self._catalogued(workflows)
        judged = await finishing(judgement, self._shop, self._board.settings, workflows, indexed=False)
        return answer(workflows[0], judged, catalog, self._room()) | {"doubts": doubts}

    async def _catalogued(self, workflows: list[Workflow]) -> tuple[dict[str, Model], list[str]]:
        asked_for = names(workflows)[:MOST]
        try:
            async with asyncio.timeout(PATIENCE):
                described = await self._describe(Assignment(models=asked_for)) if asked_for else Described()
        except TimeoutError:
            return {}, [f"the catalog did not answer within {PATIENCE:.0f} s"]
        except CatalogUnavailable as error:
            return {}, [str(error)]
        return known_models(described), list(described.doubts)

    def _room(self) -> int | None:
        """Bytes that the store takes above its floor."""
        disks = self._board.disks
        return max(0, disks[0].free - disks[0].floor) if disks else None


def _read(data: bytes) -> Workflow:
    what = "what was sent"
    found = embedded_in(data, what)
    return carried(what, found.document, found.prompt, found.workflow)


def answer(workflow: Workflow, judged: Judged, catalog: Mapping[str, Model], room: int | None) -> dict[str, Any]:
    """Sizes in bytes. `has_all` is None when models may hide in what could not be read."""
    found = [(each, ruling) for each in judged.found[0] for ruling in each.rulings]
    active = {(ruling.wish.folder, ruling.wish.name): (each, ruling) for each, ruling in found if _counts(each)}
    lacking = [(each, ruling) for each, ruling in active.values() if ruling.state not in HERE]
    sizes = [_size(ruling, _places(each, ruling, judged, catalog), catalog) for each, ruling in lacking]
    total = sum(size for size in sizes if size is not None)
    return {
        "form": workflow.form,
        "complete": workflow.complete,
        "has_all": not lacking if workflow.complete or lacking else None,
        "missing": len(lacking),
        "bytes": total,
        "unknown": sizes.count(None),
        "fits": True if not lacking else None if room is None or None in sizes else total <= room,
        "models": [_model(each, ruling, judged, catalog) for each, ruling in found[:MOST]],
        "oddities": [{"why": odd.why, "node": ":".join(odd.node)} for odd in workflow.oddities],
    }


def _counts(each: Resolved) -> bool:
    """A guess that is not here may be no model at all."""
    return each.reference.active and (each.reference.confidence != "guess" or each.state in HERE)


def _model(each: Resolved, ruling: Ruling, judged: Judged, catalog: Mapping[str, Model]) -> dict[str, Any]:
    reference, loaded = each.reference, ruling.loaded
    offers = _places(each, ruling, judged, catalog)
    pin = meant(ruling.wish, catalog)[0].pin
    return {
        "folder": loaded.folder if loaded else ruling.wish.folder,
        "name": loaded.name if loaded else ruling.wish.name,
        "text": reference.text,
        "kind": reference.kind,
        "node": ":".join(reference.node),
        "node_type": reference.node_type,
        "confidence": reference.confidence,
        "reason": reference.reason,
        "active": reference.active,
        "state": ruling.state,
        "why": ruling.why,
        "file": loaded.file if loaded else None,
        "verified": bool(loaded and loaded.verified),
        "hash": pin.hex if pin else "",
        "size": loaded.size if loaded else _size(ruling, offers, catalog),
        "candidates": list(_candidates(ruling)),
        "sources": [
            {"url": place.url, "teller": place.teller, "weight": place.weight, "why": place.why} for place in offers
        ],
    }


def _candidates(ruling: Ruling) -> Iterator[dict[str, Any]]:
    for each in ruling.candidates[:CANDIDATES]:
        yield {"file": each.known.file, "by": each.by, "value": each.value, "why": each.why}


def _places(each: Resolved, ruling: Ruling, judged: Judged, catalog: Mapping[str, Model]) -> tuple[Place, ...]:
    if ruling.state in HERE:
        return ()
    told = each.reference.url if len(each.rulings) == 1 else ""
    return offered(ruling, told, catalog, judged.addresses.get(ruling.wish, ()))


def _size(ruling: Ruling, offers: tuple[Place, ...], catalog: Mapping[str, Model]) -> int | None:
    """Bytes that would have to come: none where a change or a link mends it; None while nobody says."""
    if ruling.choice is not None:
        return 0
    said = (ruling.wish.size, *(place.size for place in offers))
    model = meant(ruling.wish, catalog)[1]
    hint = model.size.bytes if model and model.size else None
    return next((size for size in said if size), hint)
