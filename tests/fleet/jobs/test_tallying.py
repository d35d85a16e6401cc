from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.errors import BusUnavailable
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet.jobs.tallying import Tallying
from model_manager.fleet.models.usage import Ran
from tests.bus.servers import Server
from tests.bus.telling import Teller
from tests.bus.working import Rig, job
from tests.fleet.made import Now, looked, view
from tests.fleet.stage import served, settings_for


class Pool:
    def __init__(self) -> None:
        self.counted = Routed()
        self.asked: list[list[str]] = []
        self.starved: Starved | None = None
        self.refuses = False

    async def routed(self) -> Routed:
        return self.counted

    async def ran(self, machines: Iterable[str]) -> Mapping[str, Ran]:
        self.asked.append(list(machines))
        return {"m1": {"n:a.pt": self.counted.claims}}

    async def starving(self) -> Starved | None:
        if self.refuses:
            raise BusUnavailable(why="no permission")
        return self.starved


async def test_machines_are_only_asked_when_a_job_was_claimed_or_others_came() -> None:
    pool, seen = Pool(), view(Now())
    tallying = Tallying(seen, pool.routed, pool.ran, pool.starving)
    await tallying.look()
    await tallying.look()
    assert (seen.routed, pool.asked) == (Routed(), [[]])
    seen.heard(looked(Teller("m1").beat()))
    await tallying.look()
    pool.counted = Routed(claims=5)
    await tallying.look()
    await tallying.look()
    assert pool.asked == [[], ["m1"], ["m1"]]
    assert seen.usage.anywhere("loras", "a.pt", ()) == 5


async def test_what_starves_is_only_asked_while_jobs_wait_and_is_unknown_to_who_may_not_ask() -> None:
    pool, seen = Pool(), view(Now())
    tallying = Tallying(seen, pool.routed, pool.ran, pool.starving)
    await tallying.look()
    assert seen.starved == Starved(jobs=0, models={})
    pool.counted = Routed(waiting=5)
    await tallying.look()
    assert seen.starved is None
    pool.starved = Starved(jobs=2, models={"b.pt": 2})
    await tallying.look()
    assert seen.starved == pool.starved
    pool.refuses = True
    await tallying.look()
    assert (seen.starved, seen.routed) == (None, pool.counted)


async def test_a_model_that_a_job_needed_says_when(redis: Redis, shared: Server, tmp_path: Path) -> None:
    rig = await Rig(redis).begin("a.pt", "b.pt")
    await rig.claims.submit(job("1", "loras/a.pt"))
    assert await rig.claims.claim("m1", "w") is not None
    async with served(settings_for(shared.url, tmp_path)) as client:
        await client.exact()
        body = await client.until("/models", lambda told: any(each["last_used"] for each in told["items"]))
        used = {each["name"]: each["last_used"] for each in body["items"]}
        assert used["b.pt"] is None
        there = await client.get("/machines/m1/models")
        assert {each["name"]: each["last_used"] for each in there["items"]} == used
        text = await (await client.session.get(f"{client.url}/metrics")).text()
    assert "model_manager_fleet_job_claims_total 1\n" in text


async def test_e8_a_reader_without_the_right_shows_everything_else(own: Server, tmp_path: Path) -> None:
    admin = connect(own.url)
    await Rig(admin).begin("a.pt")
    rights = "%R~machine:* %R~models:index:* %R~model_manager:* -@all +@read +@connection +@transaction +time +info"
    await admin.execute_command("ACL", "SETUSER", "r", "on", ">x", "resetkeys", *rights.split())
    await admin.aclose()
    url = own.url.replace("unix://", "unix://r:x@")
    async with served(settings_for(url, tmp_path)) as client:
        await client.exact()
        assert (await client.get("/models"))["total"] == 1
        text = await (await client.session.get(f"{client.url}/metrics")).text()
    assert "job_claims" not in text
