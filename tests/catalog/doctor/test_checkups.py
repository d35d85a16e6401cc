"""What is kept of check-ups, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from model_manager.catalog.doctor.checkups import Checkups
from model_manager.catalog.doctor.reports import Noted, Tally, Wish
from model_manager.catalog.storage.store import Store
from model_manager.errors import CatalogConflict


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> str:
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)


def noted(name: str, kind: str = "gone") -> Noted:
    return Noted(
        kind=kind, record="model", id=name, name=name, what="it is", fix="", url=f"https://h/{name}", token=None, mended=False,  # type: ignore[arg-type]
    )  # fmt: skip


def tally(*found: Noted, examined: int = 24) -> Tally:
    return Tally(
        examined=examined, wrong=len(found), mendable=0, mended=0, kinds={"gone": len(found)}, noted=found
    )  # fmt: skip


async def test_how_it_goes_is_told_while_it_goes_and_the_last_one_that_is_done_is_kept(store: Store) -> None:
    clock = Clock()
    checkups = Checkups(store.database, clock)
    assert await checkups.report() == await checkups.report(of_latest=True)
    assert (await checkups.report()).latest is None
    first = await checkups.begin("ann", Wish(), 100)
    assert await checkups.note(first.number, tally(noted("a")), 0)
    assert await checkups.note(first.number, tally(noted("b"), noted("c", "page"), examined=48), 1)
    going = await checkups.report(of_latest=True)
    assert going.latest is not None
    assert (going.latest.state, going.latest.examined, going.latest.records) == ("running", 48, 100)
    assert [each.id for each in going.findings] == ["a", "b", "c"]
    assert (await checkups.report()).shown is None
    clock.later(seconds=5)
    await checkups.end(first.number, "done")
    second = await checkups.begin("bob", Wish(visit=False, fix=True), 100)
    await checkups.note(second.number, tally(noted("z")), 0)
    report = await checkups.report()
    assert report.shown is not None
    assert report.latest is not None
    assert (report.shown.who, report.shown.ended, report.shown.state) == ("ann", "2030-01-01T00:00:05.000Z", "done")
    assert (report.latest.who, report.latest.visit, report.latest.fix) == ("bob", False, True)
    await checkups.end(second.number, "stopped")
    assert (await checkups.report()).shown == report.shown, "what was not brought to its end replaces nothing"
    third = await checkups.begin("ann", Wish(), 100)
    await checkups.end(third.number, "done")
    assert (await checkups.report()).findings == ()


async def test_findings_come_in_pages_and_by_kind(store: Store) -> None:
    checkups = Checkups(store.database, store.now)
    await checkups.keep("ann", Wish(), store.now(), tally(*map(noted, "abcde"), noted("f", "page")))
    page = await checkups.report(limit=2, offset=1)
    assert ([each.id for each in page.findings], page.findings_total) == (["b", "c"], 6)
    pages = await checkups.report(kind="page")
    assert ([each.id for each in pages.findings], pages.findings_total) == (["f"], 1)


async def test_only_one_goes_on_at_a_time_and_one_whose_process_died_holds_nobody_up(store: Store) -> None:
    clock = Clock()
    checkups, other = Checkups(store.database, clock), Checkups(store.database, clock)
    await checkups.begin("ann", Wish(), 1)
    with pytest.raises(CatalogConflict, match="ann began one"):
        await other.begin("bob", Wish(), 1)
    clock.later(seconds=61)
    (latest,) = [(await other.report()).latest]
    assert latest is not None
    assert latest.state == "broken off"
    assert (await other.begin("bob", Wish(), 1)).number == 2


async def test_whoever_is_at_work_hears_that_it_is_to_end(store: Store) -> None:
    checkups = Checkups(store.database, store.now)
    assert await checkups.stop() is None
    begun = await checkups.begin("ann", Wish(), 1)
    stopped = await checkups.stop()
    assert stopped is not None
    assert stopped.state == "stopping"
    assert not await checkups.note(begun.number, tally(noted("a")), 0)
    assert (await checkups.report(of_latest=True)).findings_total == 1, "what it found stays"
