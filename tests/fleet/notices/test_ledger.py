"""What is kept of rules and notices."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import StoreUnavailable
from model_manager.facts.notice import Rule, Subject, Turn
from model_manager.fleet.notices.ledger import LEASE, Filter, Ledger, Said
from tests.fleet.made import Now

RULE = Rule(id="r", name="n", kind="machine.silent", models=("a", "b"), url="http://h.test/")


def said(text: str = "t", rule: Rule = RULE) -> Said:
    return Said(rule=rule, edge="begin", text=text, count=60, subjects=tuple(Subject(key=str(n)) for n in range(60)))


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def ledger(tmp_path: Path, now: Now) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "state" / "notices.sqlite", now)
    yield made
    await made.close()


async def test_a_rule_comes_back_as_it_was_and_its_secret_is_for_our_eyes_only(ledger: Ledger) -> None:
    await ledger.add(RULE, "whsec_hidden")
    (kept,) = await ledger.rules()
    assert (kept.rule, kept.secret, kept.version) == (RULE, "whsec_hidden", 1)
    assert "hidden" not in repr(kept)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


async def test_of_two_changes_to_one_version_one_is_taken(ledger: Ledger) -> None:
    kept = await ledger.add(RULE, "s")
    changes = [ledger.change(replace(RULE, name=str(n)), "s", kept.version) for n in range(5)]
    assert sorted(await asyncio.gather(*changes)) == [False, False, False, False, True]


async def test_only_another_question_makes_a_rule_forget(ledger: Ledger) -> None:
    kept = await ledger.add(RULE, "s")
    await ledger.lead("me")
    await ledger.took("me", kept, Turn(kept={"a": True}), [])
    await ledger.change(replace(RULE, name="other", cooldown=1.0, url=""), "s", 1)
    assert await ledger.known("r") == {"a": True}
    await ledger.change(replace(RULE, machines=("m*",)), "s", 2)
    assert await ledger.known("r") == {}


async def test_one_leads_and_another_one_after_it_fell_silent(ledger: Ledger, now: Now) -> None:
    assert [await ledger.lead("a"), await ledger.lead("b"), await ledger.lead("a")] == [True, False, True]
    now.seconds += LEASE
    assert [await ledger.lead("b"), await ledger.lead("a")] == [True, False]
    await ledger.resign("a")
    assert not await ledger.lead("a")
    await ledger.resign("b")
    assert await ledger.lead("a")


async def test_i6_a_clock_that_was_put_back_does_not_leave_it_without_a_leader(ledger: Ledger, now: Now) -> None:
    now.seconds = 1e9
    await ledger.lead("a")
    now.seconds = 5.0
    assert await ledger.lead("b")


async def test_who_does_not_lead_any_more_tells_nothing(ledger: Ledger, now: Now) -> None:
    kept = await ledger.add(RULE, "s")
    await ledger.lead("a")
    now.seconds += LEASE + 1
    await ledger.lead("b")
    turn = Turn(began=(Subject(key="k"),), kept={"k": True})
    assert not await ledger.took("a", kept, turn, [said()])
    assert (await ledger.known("r"), await ledger.notices(0, 9)) == ({}, [])
    assert await ledger.took("b", kept, turn, [said()])
    assert [each.body["count"] for each in await ledger.notices(0, 9)] == [60]
    assert len((await ledger.notices(0, 9))[0].body["subjects"]) == 50


async def test_the_past_is_read_in_both_directions_and_by_what_is_asked(ledger: Ledger) -> None:
    other = replace(RULE, id="o", kind="disk.low", url="")
    for n in range(4):
        await ledger.tell(said(str(n), other if n % 2 else RULE))
    assert [each.id for each in await ledger.notices(1, 2)] == [2, 3]
    assert [each.id for each in await ledger.before(4, 2)] == [2, 3]
    assert [each.id for each in await ledger.notices(0, 9, Filter(kind="disk.low"))] == [2, 4]
    assert [each.id for each in await ledger.notices(0, 9, Filter(state="waiting", rule="r"))] == [1, 3]


async def test_of_each_rule_one_delivery_is_due_and_none_before_its_time(ledger: Ledger, now: Now) -> None:
    other = replace(RULE, id="o")
    for rule in (RULE, RULE, other):
        await ledger.tell(said(rule=rule))
    assert [each.id for each in await ledger.due(9)] == [1, 3]
    (first, _) = await ledger.due(9)
    await ledger.settle(1, replace(first.delivery, due=now() + 5))
    assert [each.id for each in await ledger.due(9)] == [2, 3]


async def test_what_is_old_goes_unless_it_is_on_its_way(ledger: Ledger) -> None:
    await ledger.tell(said())
    await ledger.tell(said(rule=replace(RULE, url="")))
    assert await ledger.forget("2999") == 1
    assert [each.id for each in await ledger.notices(0, 9)] == [1]


async def test_a_removed_rule_delivers_nothing_more(ledger: Ledger) -> None:
    await ledger.add(RULE, "s")
    await ledger.tell(said())
    assert [await ledger.drop("r"), await ledger.drop("r")] == [True, False]
    (noted,) = await ledger.notices(0, 9)
    assert (noted.delivery.state, noted.delivery.why) == ("dead", "its rule was removed")


async def test_two_ledgers_are_told_apart_for_ever(ledger: Ledger, now: Now) -> None:
    again = Ledger(ledger.path, now)
    assert await ledger.installation() == await again.installation()
    await again.close()


async def test_a_newer_one_is_left_alone(tmp_path: Path, now: Now) -> None:
    with closing(sqlite3.connect(tmp_path / "n.sqlite")) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="a newer release wrote it"):
        await Ledger(tmp_path / "n.sqlite", now).rules()
