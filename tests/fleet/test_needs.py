from __future__ import annotations

import asyncio

import pytest

from model_manager.errors import CatalogUnavailable
from model_manager.facts.model import Assignment, Described, Undescribed, WorkflowRecord
from model_manager.fleet import needs
from model_manager.fleet.needs import Demand


class Catalog:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    async def describe(self, assignment: Assignment) -> Described:
        (name,) = assignment.workflows
        self.asked.append(name)
        await asyncio.sleep(0)
        if self.away:
            raise CatalogUnavailable(host="h", why="it is away")
        if name == "unheard":
            return Described(workflows=(Undescribed(name=name, why="there is none", missing=True),))
        return Described(workflows=(WorkflowRecord(name=name),))


async def test_an_answer_counts_for_a_while() -> None:
    catalog, now = Catalog(), [0.0]
    demand = Demand(catalog.describe, 60.0, lambda: now[0])
    await asyncio.gather(*(demand.of("flux") for _ in range(5)))
    assert catalog.asked == ["flux"]
    now[0] = 61.0
    await demand.of("flux")
    assert catalog.asked == ["flux", "flux"]


async def test_what_the_catalog_does_not_have_is_missing() -> None:
    found = await Demand(Catalog().describe, 60.0, lambda: 0.0).of("unheard")
    assert found.missing
    assert found.unknown == "there is none"


async def test_f1_a_catalog_that_is_away_is_a_reason_and_no_empty_need() -> None:
    catalog = Catalog()
    catalog.away = True
    demand = Demand(catalog.describe, 60.0, lambda: 0.0)
    assert "it is away" in (await demand.of("flux")).unknown
    catalog.away = False
    assert (await demand.of("flux")).unknown == ""


async def test_a_catalog_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: Assignment) -> Described:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(needs, "PATIENCE", 0.05)
    assert "did not answer" in (await Demand(hang, 60.0, lambda: 0.0).of("flux")).unknown


async def test_only_so_many_are_remembered() -> None:
    catalog = Catalog()
    demand = Demand(catalog.describe, 60.0, lambda: 0.0)
    for number in range(needs.MOST + 1):
        await demand.of(f"w{number}")
    await demand.of(f"w{needs.MOST}")
    await demand.of("w0")
    assert len(catalog.asked) == needs.MOST + 2
