"""On the way to webhooks: at least once, politely, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from model_manager.errors import BadUrl, OriginUnavailable
from model_manager.facts.notice import Rule, Subject
from model_manager.fleet.notices.delivering import OLDEST, Delivering, body_of
from model_manager.fleet.notices.ledger import Ledger, Noted, Said
from model_manager.sources.hooks import Receipt
from tests.fleet.made import Now

RULE = Rule(id="r", name="n", kind="machine.silent", url="http://h.test/")
SAID = Said(rule=RULE, edge="begin", text="silent: m1", count=1, subjects=(Subject(key="m1", machine_id="m1"),))


class Receiver:
    """Answers as the script says, and with 204 after its end."""

    def __init__(self, *script: Receipt | Exception) -> None:
        self.script = list(script)
        self.got: list[tuple[str, str, int]] = []

    async def send(self, url: str, secret: str, identity: str, timestamp: int, body: bytes) -> Receipt:
        self.got.append((url, identity, timestamp))
        answer = self.script.pop(0) if self.script else Receipt(status=204, retry_after=None)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def ledger(tmp_path: Path, now: Now) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "notices.sqlite", now)
    await made.add(RULE, "s")
    yield made
    await made.close()


def answer(status: int, retry_after: float | None = None) -> Receipt:
    return Receipt(status=status, retry_after=retry_after)


async def noted(ledger: Ledger, identity: int = 1) -> Noted:
    found = await ledger.notice(identity)
    assert found is not None
    return found


async def tried(ledger: Ledger, receiver: Receiver) -> Noted:
    await Delivering(ledger, receiver.send, lambda: True).deliver(await noted(ledger))
    return await noted(ledger)


async def test_what_was_taken_is_delivered(ledger: Ledger) -> None:
    await ledger.tell(SAID)
    after = await tried(ledger, receiver := Receiver())
    assert (after.delivery.state, after.delivery.attempts, after.delivery.status) == ("delivered", 1, 204)
    assert receiver.got == [("http://h.test/", f"msg_{await ledger.installation()}_1", 100)]


@pytest.mark.parametrize(
    "failure", [answer(500), answer(302), answer(404), OriginUnavailable(host="h", name="n", why="it is away")]
)
async def test_what_was_not_taken_is_tried_again_later_under_the_same_id(
    ledger: Ledger, now: Now, failure: Receipt | Exception
) -> None:
    await ledger.tell(SAID)
    receiver = Receiver(failure, failure)
    first = await tried(ledger, receiver)
    assert (first.delivery.state, first.delivery.attempts) == ("waiting", 1)
    assert now() + 3 < first.delivery.due < now() + 7
    second = await tried(ledger, receiver)
    assert now() + 7 < second.delivery.due < now() + 13
    assert (await tried(ledger, receiver)).delivery.state == "delivered"
    assert len({identity for _, identity, _ in receiver.got}) == 1


async def test_b11_who_asks_for_time_gets_it(ledger: Ledger, now: Now) -> None:
    await ledger.tell(SAID)
    assert (await tried(ledger, Receiver(answer(503, 600)))).delivery.due == now() + 600


async def test_after_a_day_it_is_dead_and_says_why(ledger: Ledger, now: Now) -> None:
    await ledger.tell(SAID)
    now.seconds += OLDEST
    after = await tried(ledger, Receiver(answer(500)))
    assert (after.delivery.state, after.delivery.why) == ("dead", "it answered 500; it was tried for a day")


async def test_an_address_that_is_never_asked_is_dead_at_once(ledger: Ledger) -> None:
    await ledger.tell(SAID)
    after = await tried(ledger, Receiver(BadUrl(url="http://h.test/", why="its name leads into a private network")))
    assert (after.delivery.state, after.delivery.attempts) == ("dead", 1)


async def test_who_is_gone_for_good_is_not_asked_again(ledger: Ledger) -> None:
    await ledger.tell(SAID)
    assert (await tried(ledger, Receiver(answer(410)))).delivery.state == "dead"
    (kept,) = await ledger.rules()
    assert (kept.rule.url, kept.rule.enabled) == ("", True)


async def test_without_its_rule_nothing_is_sent(ledger: Ledger) -> None:
    await ledger.tell(replace(SAID, rule=replace(RULE, id="other")))
    after = await tried(ledger, receiver := Receiver())
    assert (after.delivery.state, receiver.got) == ("dead", [])


async def test_what_is_posted_has_a_type_a_time_and_data(ledger: Ledger) -> None:
    await ledger.tell(SAID)
    body = orjson.loads(body_of(await noted(ledger)))
    assert (body["type"], body["timestamp"]) == ("machine.silent.begin", "1970-01-01T00:01:40.000+00:00")
    assert body["data"]["subjects"] == [{"key": "m1", "machine_id": "m1", "model": "", "why": ""}]


async def test_only_the_leader_delivers_and_one_slow_receiver_holds_up_nobody(ledger: Ledger) -> None:
    slow = replace(RULE, id="slow", url="http://slow.test/")
    await ledger.add(slow, "s")
    for rule in (slow, slow, RULE, RULE):
        await ledger.tell(replace(SAID, rule=rule))
    leads, stuck, under_way = False, asyncio.Event(), []
    receiver = Receiver()

    async def send(url: str, *rest: object) -> Receipt:
        if "slow" in url:
            under_way.append(url)
            await stuck.wait()
        return await receiver.send(url, *rest)  # type: ignore[arg-type]

    delivering = Delivering(ledger, send, lambda: leads)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(delivering.run())
        delivering.ring()
        await asyncio.sleep(0.05)
        assert (receiver.got, under_way) == ([], [])
        leads = True
        delivering.ring()
        async with asyncio.timeout(20):
            while (await noted(ledger, 4)).delivery.state != "delivered":
                await asyncio.sleep(0.01)
        assert len(under_way) == 1
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert (await noted(ledger, 1)).delivery.state == "waiting"
