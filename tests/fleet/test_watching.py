"""The loops, against a real server; what they tell a user is in test_answers and test_run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from model_manager.bus.following import Follower
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.decisions.folding import fold
from model_manager.fleet import watching
from model_manager.fleet.models.catalogue import Catalogue
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View
from model_manager.fleet.watching import Watching
from tests.fleet.conftest import Join
from tests.fleet.made import Now
from tests.fleet.stage import files


def made(redis: Redis, now: Now) -> tuple[View, Telling, Watching]:
    catalogue, telling, keys = Catalogue(), Telling(), Keys()
    view = View(Mirrors(redis, keys, fold, touched=catalogue.touched), catalogue, 37.5, now)
    return view, telling, Watching(view, Leases(redis, keys), telling, lambda since: Follower(redis, keys, since))


@asynccontextmanager
async def running(loops: Watching) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loops.run())
        async with asyncio.timeout(20):
            yield
        task.cancel()


async def test_one_look_reads_everything(redis: Redis, join: Join) -> None:
    await join("m1").begin(*files("a.safetensors"), flux=True)
    view, _, loops = made(redis, Now())
    await loops.once()
    assert view.exact
    assert (view.away, view.ids, view.ready("m1")) == (None, ["m1"], True)
    assert list(view.who_has("loras/a.safetensors")) == ["m1"]


async def test_an_entry_that_is_no_event_stops_nothing(redis: Redis, join: Join) -> None:
    view, telling, loops = made(redis, Now())
    async with running(loops):
        with telling.listening() as listener:
            while not view.exact:
                await asyncio.sleep(0.01)
            await redis.xadd(Keys().events, {"x": "y"})
            await join("m1").begin(*files("a.safetensors"))
            heard: list[str] = []
            while len(heard) < 3:
                heard += [envelope.event.kind for _, envelope in await listener.take(1.0)]
    assert heard == ["machine.hello", "model.appeared", "inventory.snapshot"]


async def test_who_was_away_for_a_day_is_no_longer_shown(redis: Redis, join: Join) -> None:
    machine, now = join("m1"), Now()
    await machine.begin()
    view, _, loops = made(redis, now)
    await loops.once()
    await machine.bye()
    await redis.delete(Keys().models("m1"))
    await loops.once()
    assert view.ids == ["m1"]
    now.seconds += watching.FORGOTTEN + 1
    await loops.once()
    assert view.ids == []


async def test_l1_whom_another_aggregator_buries_offers_nothing_at_the_next_look(redis: Redis, join: Join) -> None:
    await join("m1").begin(*files("a.safetensors"))
    view, _, loops = made(redis, Now())
    loops._bury = _nobody  # type: ignore[method-assign]
    async with running(loops):
        while not view.exact:
            await asyncio.sleep(0.01)
        await redis.delete(Keys().lease("m1"))
        await redis.zadd(Keys().alive, {"m1": 1})
        assert await Leases(redis, Keys()).bury() == ("m1",)
        while view.who_has("loras/a.safetensors"):
            await asyncio.sleep(0.01)
    assert view.state("m1") == "away"


async def _nobody(*, search: bool) -> tuple[str, ...]:
    """As one who may only read."""
    return ()
