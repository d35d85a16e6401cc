"""The doctor where the catalog runs, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from model_manager.catalog.doctor.attending import Attending
from model_manager.catalog.doctor.reports import Checkup, Wish
from model_manager.catalog.doctor.visiting import Visit, Visitor
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.storage.store import Store
from model_manager.errors import OriginUnavailable, Unavailable
from tests.catalog.doctor.test_doctoring import dirt
from tests.catalog.doctor.test_visiting import visiting
from tests.catalog.hub import hub


class Stuck(Visitor):
    """Waits at every address, or cannot go at all."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__((), ())
        self.asked = asyncio.Event()
        self._failure = failure

    async def visit(self, name: str, url: str) -> Visit:
        self.asked.set()
        if self._failure is not None:
            raise self._failure
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def handed(visitor: Visitor) -> AsyncIterator[Visitor]:
    yield visitor


async def until(report: Callable[[], Awaitable[Checkup]], *states: str) -> Checkup:
    async with asyncio.timeout(30):
        while (found := await report()).state not in states:
            await asyncio.sleep(0.02)
    return found


def asking(attending: Attending) -> Callable[[], Awaitable[Checkup]]:
    async def latest() -> Checkup:
        found = (await attending.checkups.report()).latest
        assert found is not None
        return found

    return latest


async def test_it_answers_at_once_tells_the_end_and_mends_only_when_it_was_asked_to(store: Store) -> None:
    rung: list[bool] = []
    async with hub(sd_xl__safetensors=6_940_000_000) as (_, host):
        await load(store, as_written(dirt(host)), "test")
        attending = Attending(store, lambda _: visiting(host), set(), lambda: rung.append(True))
        async with attending.at_work():
            for wish in (Wish(), Wish(fix=True)):
                begun = await attending.begin("ann", wish)
                assert (begun.state, begun.examined, begun.records) == ("running", 0, 7)
                done = await until(asking(attending), "done")
                assert (done.examined, done.wrong, done.mended > 0) == (7, 7, wish.fix)
                assert done.kinds["gone"] == 5
        report = await attending.checkups.report(kind="size")
    assert bool(rung)
    assert [(each.name, each.fix, each.mended) for each in report.findings] == [
        ("sd_xl.safetensors", "the size 6940000000", True)
    ]
    (change, *_) = await store.history("model", "sd_xl.safetensors", 2**31, 1)
    assert (change.who, "the size 6940000000" in change.note) == ("ann", True)


async def test_it_ends_when_it_is_told_to_and_another_may_begin(store: Store) -> None:
    await load(store, as_written(dirt("192.0.2.1")), "test")
    stuck = Stuck()
    attending = Attending(store, lambda _: handed(stuck), set(), lambda: None)
    async with attending.at_work(), asyncio.timeout(30):
        await attending.begin("ann", Wish())
        await stuck.asked.wait()
        await attending.checkups.stop()
        await until(asking(attending), "stopped")
        assert (await attending.begin("ann", Wish(visit=False))).number == 2
        assert (await until(asking(attending), "done")).kinds


async def test_a_server_that_ends_does_not_wait_for_it(store: Store) -> None:
    await load(store, as_written(dirt("192.0.2.1")), "test")
    stuck = Stuck()
    attending = Attending(store, lambda _: handed(stuck), set(), lambda: None)
    async with asyncio.timeout(30):
        async with attending.at_work():
            await attending.begin("ann", Wish())
            await stuck.asked.wait()
        assert (await asking(attending)()).state == "stopped"
        async with attending.at_work():
            await attending.begin("ann", Wish())
        assert (await asking(attending)()).state == "stopped", "not even one that had hardly begun"
    with pytest.raises(Unavailable):
        await attending.begin("ann", Wish())


async def test_what_fails_beside_it_stays_what_it_is(store: Store) -> None:
    attending = Attending(store, None, set(), lambda: None)
    with pytest.raises(ZeroDivisionError):
        async with attending.at_work():
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (OriginUnavailable(host="h", name="n", why="w"), "fault of the catalog"),
        (ZeroDivisionError(), "fault of the catalog"),
    ],
)
async def test_a_fault_ends_the_check_up_and_not_the_server(store: Store, failure: Exception, why: str) -> None:
    await load(store, as_written(dirt("192.0.2.1")), "test")
    attending = Attending(store, lambda _: handed(Stuck(failure)), set(), lambda: None)
    async with attending.at_work():
        await attending.begin("ann", Wish())
        assert why in (await until(asking(attending), "failed")).why
