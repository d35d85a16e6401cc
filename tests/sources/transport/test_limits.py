from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise

import pytest

from model_manager.facts.quota import Quota, Quotas
from model_manager.sources.transport.limits import BURST_SECONDS, PULSE, Limits

DEADLINE = 20
"""Seconds after which a test that waits for something has failed."""
MB = 10**6


class Time:
    """Seconds that pass only when somebody lets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rated(clock, **quota) -> Limits:
    return Limits(Quotas(rate=Quota(**quota)), clock)


class Connection:
    """Takes what it may, and waits as it is told."""

    def __init__(self, limits: Limits, host: str = "h", hunger: int = MB) -> None:
        self.limits, self.host, self.hunger = limits, host, hunger
        self.got, self.due = 0, 0.0

    def step(self, now: float) -> None:
        while self.due <= now:
            size = self.limits.grant(self.host, self.hunger)
            self.got += size
            wait = self.limits.spent(self.host, size)
            self.due = now + wait
            if not wait:
                return


def run(clock: Time, seconds: float, connections: list[Connection]) -> None:
    for _ in range(round(seconds * 1000)):
        clock.now += 0.001
        for connection in connections:
            connection.step(clock.now)


def test_without_a_rate_everything_is_granted_at_once():
    limits = rated(Time())
    assert limits.grant("h", 1 << 30) == 1 << 30
    assert limits.spent("h", 1 << 30) == 0


@pytest.mark.parametrize("count", [1, 3, 16])
@pytest.mark.parametrize("rate", [100_000, 10 * MB, 500 * MB])
def test_any_number_of_connections_get_the_rate_together_and_each_the_same(count, rate):
    clock = Time()
    connections = [Connection(rated_for_all := rated(clock, total=rate))]
    connections += [Connection(rated_for_all, f"host{number}") for number in range(count - 1)]
    run(clock, 10, connections)
    most = rate * (10 + BURST_SECONDS + count * PULSE)
    assert rate * 9.9 <= sum(connection.got for connection in connections) <= most
    fair = sum(connection.got for connection in connections) / count
    assert all(abs(connection.got - fair) < 0.06 * fair for connection in connections)


def test_a_greedy_connection_gets_no_more_than_a_modest_one_wants():
    clock = Time()
    limits = rated(clock, total=MB)
    greedy, modest = Connection(limits, hunger=MB), Connection(limits, hunger=MB // 64 // 2)
    run(clock, 10, [greedy, modest])
    assert modest.got > 0.3 * greedy.got


def test_a_host_has_its_own_rate_and_the_total_holds_for_all():
    clock = Time()
    limits = rated(clock, total=3 * MB, each=2 * MB, hosts={"slow": MB // 2, "free": None})
    slow, fast, free = (Connection(limits, host) for host in ("slow", "FAST", "free"))
    run(clock, 10, [slow])
    assert slow.got == pytest.approx(MB / 2 * 10.25, rel=0.05)
    run(clock, 10, [fast])
    assert fast.got == pytest.approx(2 * MB * 10.25, rel=0.05)
    run(clock, 10, [free])
    assert free.got == pytest.approx(3 * MB * 10.25, rel=0.05)
    before = slow.got + fast.got + free.got
    run(clock, 10, [slow, fast, free])
    assert slow.got + fast.got + free.got - before == pytest.approx(3 * MB * 10, rel=0.05)


def test_after_a_calm_a_quarter_of_a_second_may_come_at_once_and_no_more():
    clock = Time()
    limits = rated(clock, total=MB)
    clock.now += 3600
    taken = 0
    while not limits.spent("h", portion := limits.grant("h", MB)):
        taken += portion
    assert taken <= MB * BURST_SECONDS <= taken + portion


def test_many_short_connections_do_not_slip_through_one_by_one():
    clock = Time()
    limits, begun, count = rated(clock, total=MB), clock.now, 0
    while clock.now < begun + 10:
        clock.now += limits.spent("h", 0)
        limits.spent("h", limits.grant("h", 5000))
        count += 1
        clock.now += 0.0001
    assert count * 5000 <= MB * 10.3


def test_grants_are_counted_right_whatever_thread_asks():
    clock = Time()
    limits = rated(clock, total=1000)
    limits.spent("h", 250)

    def take() -> None:
        for _ in range(2000):
            limits.spent("h", 1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert limits.spent("h", 0) == pytest.approx(8.0)


def test_another_rate_counts_at_once_and_what_was_owed_is_forgiven():
    clock = Time()
    limits = rated(clock, total=1000, hosts={"h": 10})
    assert limits.spent("h", 100_000) > 90
    before = limits.edition
    limits.quotas = Quotas(rate=Quota(total=100 * MB))
    assert limits.edition != before
    assert limits.spent("h", 0) == 0
    assert limits.grant("h", MB) == MB


def test_a_rate_that_did_not_change_forgives_nothing():
    clock = Time()
    limits = rated(clock, total=1000)
    limits.spent("h", 10_250)
    limits.quotas = Quotas(rate=Quota(total=1000, each=500_000))
    assert limits.spent("other", 0) == pytest.approx(10)


async def test_the_slow_road_waits_for_its_debt_and_new_quotas_end_the_wait():
    limits = Limits(Quotas(rate=Quota(each=1000)))
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        spending = group.create_task(limits.spend("h", 10**9))
        await asyncio.sleep(0.01)
        assert not spending.done()
        limits.quotas = Quotas()


async def test_the_slow_road_keeps_its_rate():
    limits = Limits(Quotas(rate=Quota(each=100_000)))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(5):
        await limits.spend("h", 10_000)
    assert loop.time() - begun >= 0.24


async def test_requests_come_in_a_burst_and_then_evenly_within_their_minute():
    clock = Time()
    limits = Limits(Quotas(requests=Quota(each=100)), clock)
    at = []
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        asking = group.create_task(_ask(limits, 150, clock, at))
        while not asking.done():
            clock.now += 0.05
            limits.quotas = limits.quotas  # whoever waits looks at the clock
            await _calm()
    begun = at[0]
    assert at[9] == begun < at[10]
    assert sum(moment < begun + 60 for moment in at) <= 100
    assert all(0.55 < later - earlier < 0.8 for earlier, later in pairwise(at[10:]))


async def _ask(limits: Limits, count: int, clock: Time, at: list[float]) -> None:
    for _ in range(count):
        await limits.request("h")
        at.append(clock.now)


async def _calm() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def test_requests_wait_in_the_order_of_their_coming_and_a_cancelled_one_is_not_missed():
    clock, order = Time(), []
    limits = Limits(Quotas(requests=Quota(total=2)), clock)

    async def ask(number: int) -> None:
        await limits.request(f"h{number % 2}")
        order.append(number)

    await limits.request("h0")
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in (0, 2, 4)]
        await _calm()
        tasks[1].cancel()
        await _calm()
        for _ in range(2):
            clock.now += 61
            limits.quotas = limits.quotas
            await _calm()
            await _calm()
    assert order == [0, 4]


async def test_a_larger_budget_of_requests_counts_for_those_who_wait():
    limits = Limits(Quotas(requests=Quota(hosts={"h": 1})))
    await limits.request("h")
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        asking = group.create_task(limits.request("H"))
        await _calm()
        assert not asking.done()
        await limits.request("elsewhere")
        limits.quotas = Quotas()


class Guests:
    """Tasks that hold a connection until they are told to leave."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.inside: list[str] = []
        self.came: list[Guest] = []

    async def come(self, name: str, host: str = "h") -> Guest:
        guest = Guest(self, name, host)
        self.came.append(guest)
        await _calm()
        return guest


@asynccontextmanager
async def house(limits: Limits) -> AsyncIterator[Guests]:
    guests = Guests(limits)
    try:
        yield guests
    finally:
        for guest in guests.came:
            guest.task.cancel()
        await asyncio.wait([guest.task for guest in guests.came], timeout=DEADLINE)


class Guest:
    def __init__(self, guests: Guests, name: str, host: str) -> None:
        self.guests, self.name, self.host = guests, name, host
        self.going = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self.stay())

    async def stay(self) -> None:
        async with self.guests.limits.connection(self.host):
            self.guests.inside.append(self.name)
            await self.going.wait()
        self.guests.inside.remove(self.name)

    async def go(self) -> None:
        self.going.set()
        await _calm()


async def test_connections_of_one_host_wait_in_line_and_those_of_another_pass():
    async with house(Limits(Quotas(connections=Quota(each=1)))) as guests:
        a, b, c = [await guests.come(name) for name in "abc"]
        d = await guests.come("d", "other")
        assert guests.inside == ["a", "d"]
        await a.go()
        assert guests.inside == ["d", "b"]
        await b.go()
        await c.go()
        await d.go()
        assert guests.inside == []


async def test_all_hosts_together_have_a_limit_too():
    async with house(Limits(Quotas(connections=Quota(total=2, each=2)))) as guests:
        a, b = await guests.come("a", "1"), await guests.come("b", "2")
        c = await guests.come("c", "3")
        assert guests.inside == ["a", "b"]
        await b.go()
        assert guests.inside == ["a", "c"]
        await a.go()
        await c.go()


async def test_i4_a_cancelled_waiter_leaves_no_trace():
    async with house(Limits(Quotas(connections=Quota(each=1)))) as guests:
        a, b, c = [await guests.come(name) for name in "abc"]
        b.task.cancel()
        await _calm()
        await a.go()
        assert guests.inside == ["c"]
        await c.go()
        last = await guests.come("last")
        assert guests.inside == ["last"]
        await last.go()


async def test_i4_one_that_is_cancelled_while_it_is_let_in_gives_its_place_on():
    async with house(Limits(Quotas(connections=Quota(each=1)))) as guests:
        a, b, c = [await guests.come(name) for name in "abc"]
        a.going.set()
        while guests.inside:
            await asyncio.sleep(0)
            b.task.cancel()
        await _calm()
        assert guests.inside == ["c"]
        await c.go()


async def test_more_connections_count_for_those_who_wait_and_fewer_cut_nobody_off():
    limits = Limits(Quotas(connections=Quota(each=1)))
    async with house(limits) as guests:
        a, b, c = [await guests.come(name) for name in "abc"]
        limits.quotas = Quotas(connections=Quota(each=2))
        await _calm()
        assert guests.inside == ["a", "b"]
        limits.quotas = Quotas(connections=Quota(each=1))
        await a.go()
        assert guests.inside == ["b"]
        await b.go()
        assert guests.inside == ["c"]
        await c.go()


async def test_a_connection_that_fails_gives_its_place_back():
    limits = Limits(Quotas(connections=Quota(each=1)))
    async with asyncio.timeout(DEADLINE):
        with suppress(ConnectionError):
            async with limits.connection("h"):
                raise ConnectionResetError
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(limits.connection("H"))
