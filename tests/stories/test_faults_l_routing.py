"""Jobs on a real server: workers race, die and stall; machines die, lose models and fetch them; the server fails over."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.errors import NotServing
from model_manager.facts.job import Work
from tests.bus.servers import Server
from tests.bus.working import Rig, job, until
from tests.stories.machine import Machine, catalog, record, safetensors, workflow
from tests.stories.origin import FaultyOrigin
from tests.stories.test_faults_e_redis import endless_script

ROOT = Path(__file__).parents[2]
BASE, STYLE = safetensors(200_000, 1), safetensors(300_000, 2)
QUICK = {"MODEL_MANAGER_HEARTBEAT_SECONDS": "0.5", "MODEL_MANAGER_SERVICES": "comfyui"}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


@asynccontextmanager
async def clients(url: str, count: int) -> AsyncIterator[list[Claims]]:
    """So many clients, each with connections of its own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            redis = connect(url, timeout=5.0)
            stack.push_async_callback(redis.aclose)
            made.append(Claims(redis, patience=60.0))
        yield made


async def state(claims: Claims, id: str) -> str:
    return (await claims.job(id)).state


async def all_done(claims: Claims, ids: list[str]) -> bool:
    return all([await state(claims, id) == "done" for id in ids])


async def test_l3_fifty_workers_one_job(server: Server) -> None:
    async with clients(server.url, 50) as many:
        await Rig(many[0]._redis).begin("a.pt")
        await many[0].submit(job("1", "a.pt"))
        found = await asyncio.gather(*(each.claim("m1", f"w{n}") for n, each in enumerate(many)))
        assert [work.job for work in found if work] == ["1"]


async def test_l3_fifty_idle_workers_and_every_job_is_done_once(server: Server) -> None:
    ids = [str(n) for n in range(200)]
    done: Counter[str] = Counter()

    async def working(claims: Claims, name: str) -> None:
        work = await claims.claim("m1", name, wait=60)
        while work is not None:
            done[work.job] += 1
            outcome, work = await claims.next(work, wait=60)
            assert outcome == "done"

    async with clients(server.url, 51) as (front, *many):
        await Rig(front._redis).begin("a.pt")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(working(each, f"w{n}")) for n, each in enumerate(many)]
            for id in ids:
                await front.submit(job(id, "a.pt"))
            await until(lambda: all_done(front, ids), "all are done")
            for task in tasks:
                task.cancel()
    assert done == Counter(ids)


async def test_l3_one_job_wakes_one_of_hundreds_of_idle_workers(server: Server) -> None:
    async with clients(server.url, 300) as many:
        await Rig(many[0]._redis, lease=600.0).begin("a.pt")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.claim("m1", f"w{n}", wait=100)) for n, each in enumerate(many)]
            await until(lambda: parked(server, len(many)), "all wait at their bells")
            server.client().config_resetstat()
            await many[0].submit(job("1", "a.pt"))
            await until(lambda: any_done(tasks), "one has it")
            calls = server.client().info("commandstats")["cmdstat_fcall"]["calls"]
            assert calls <= 5, "the submission, and one claim; indexing may take one or two more"
            assert sum(task.done() for task in tasks) == 1
            for task in tasks:
                task.cancel()


async def parked(server: Server, count: int) -> bool:
    return int(server.client().info("clients")["blocked_clients"]) == count


async def any_done(tasks: list[asyncio.Task[Work | None]]) -> bool:
    return any(task.done() for task in tasks)


def claimer(url: str, name: str, lease: float, seconds: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.stories.claimer", url, name, str(lease), str(seconds)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_l3_the_job_of_a_killed_worker_is_done_by_another_after_its_lease(server: Server) -> None:
    async with clients(server.url, 1) as (front,):
        await Rig(front._redis).begin("a.pt")
        await front.submit(job("1", "a.pt"))
        dying = claimer(server.url, "dying", 1.0, 600)
        assert dying.stdout is not None
        assert await asyncio.to_thread(dying.stdout.readline) == "1\n"
        assert await front.claim("m1", "early") is None
        dying.kill()
        dying.wait()
        again = await front.claim("m1", "another", wait=30)
        assert again is not None
        assert (again.job, again.attempt) == ("1", 2)
        assert await front.complete(again) == "done"


async def test_l3_killed_workers_lose_no_job_and_do_none_twice(server: Server) -> None:
    ids = [str(n) for n in range(40)]
    chance = random.Random(6)
    async with clients(server.url, 1) as (front,):
        await Rig(front._redis).begin("a.pt")
        await front.submit_all(job(id, "a.pt", max_attempts=100) for id in ids)
        workers = [claimer(server.url, f"w{n}", 0.6, 0.05) for n in range(3)]
        try:
            for n in range(3, 7):
                await asyncio.sleep(0.3)
                victim = workers.pop(chance.randrange(len(workers)))
                victim.kill()
                victim.wait()
                workers.append(claimer(server.url, f"w{n}", 0.6, 0.05))
            await until(lambda: all_done(front, ids), "all are done")
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        assert sorted([each.id async for each in front.jobs("done")], key=int) == ids
        for nothing in ("pending", "running", "delayed", "dead"):
            assert [each async for each in front.jobs(nothing)] == []  # type: ignore[arg-type]


async def work_off(
    claims: list[Claims], ids: list[str], mishap: Callable[[], object], lease: float = 60.0
) -> Counter[str]:
    """Works through all jobs while `mishap` happens at a third of them; how often each completion counted."""
    counted: Counter[str] = Counter()
    happened = asyncio.Event()

    async def working(mine: Claims, name: str) -> None:
        while True:
            work = await mine.claim("m1", name, wait=5, lease=lease)
            if work is None:
                continue
            await asyncio.sleep(0.002)
            if await mine.complete(work) in ("done", "repeat"):
                counted[work.job] += 1
            if len(counted) > len(ids) // 3:
                happened.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(working(each, f"w{n}")) for n, each in enumerate(claims)]
        await happened.wait()
        await asyncio.to_thread(mishap)
        await until(lambda: all_done(claims[0], ids), "all are done", at_most=90)
        for task in tasks:
            task.cancel()
    return counted


async def test_l3_a_server_that_is_killed_in_the_middle_of_claims_loses_none(server: Server) -> None:
    durable = Server("valkey", "--appendonly", "yes", "--appendfsync", "always")
    ids = [str(n) for n in range(300)]

    def restart() -> None:
        durable.kill()
        durable.start()

    try:
        async with clients(durable.url, 8) as many:
            await Rig(many[0]._redis, lease=600.0).begin("a.pt")
            await many[0].submit_all(job(id, "a.pt") for id in ids)
            assert await work_off(many, ids, restart) == Counter(ids)
            assert [each.id async for each in many[0].jobs("running")] == []
    finally:
        durable.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_l3_a_failover_in_the_middle_of_claims_loses_no_job_that_was_replicated(home: Path) -> None:
    port = free_port()
    primary = Server("valkey", "--port", str(port), "--repl-diskless-sync-delay", "0")
    replica = Server("valkey", "--replicaof", f"127.0.0.1 {port}")
    link, ids = home / "redis", [str(n) for n in range(300)]
    link.symlink_to(primary.socket)

    def fail_over() -> None:
        primary.freeze()
        link.unlink()
        replica.client().replicaof("NO", "ONE")
        link.symlink_to(replica.socket)
        primary.thaw()
        primary.kill()

    try:
        async with clients(f"unix://{link}", 8) as many:
            await Rig(many[0]._redis, lease=600.0).begin("a.pt")
            await many[0].submit_all(job(id, "a.pt") for id in ids)
            await many[0]._redis.wait(1, 20_000)
            counted = await work_off(many, ids, fail_over, lease=5.0)
            assert set(counted) == set(ids)
            assert [each.id async for each in many[0].jobs("dead")] == []
            assert sum(counted.values()) - len(ids) <= 2 * len(many), "only what was under way may have been done twice"
    finally:
        primary.close()
        replica.close()


async def test_e6_a_library_that_is_flushed_while_workers_claim_is_loaded_again(server: Server) -> None:
    ids = [str(n) for n in range(200)]
    async with clients(server.url, 4) as many:
        await Rig(many[0]._redis, lease=600.0).begin("a.pt")
        await many[0].submit_all(job(id, "a.pt") for id in ids)
        assert await work_off(many, ids, lambda: server.client().function_flush()) == Counter(ids)


async def test_e6_a_server_that_is_busy_or_a_replica_is_waited_for_and_never_called_empty(server: Server) -> None:
    server.client().config_set("busy-reply-threshold", "50")
    async with clients(server.url, 2) as (front, worker):
        await Rig(front._redis, lease=600.0).begin("a.pt")
        await front.submit_all([job("1", "a.pt"), job("2", "a.pt")])
        async with asyncio.TaskGroup() as group:
            with endless_script(server):
                await until(lambda: is_busy(server), "the server is busy")
                claiming = group.create_task(worker.claim("m1", "w"))
                await asyncio.sleep(0.3)
                assert not claiming.done()
            assert _id(await claiming) == "1"
            server.client().replicaof("127.0.0.1", "1")
            claiming = group.create_task(worker.claim("m1", "w"))
            await asyncio.sleep(0.3)
            assert not claiming.done()
            server.client().replicaof("NO", "ONE")
            assert _id(await claiming) == "2"


async def is_busy(server: Server) -> bool:
    try:
        await asyncio.to_thread(server.client().ping)
    except ResponseError:
        return True
    return False


async def test_e6_a_server_that_is_still_loading_is_waited_for() -> None:
    slow = ("--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024")
    server = Server("valkey", "--dbfilename", "dump", *slow)
    try:
        async with clients(server.url, 1) as (front,):
            await Rig(front._redis, lease=600.0).begin("a.pt")
            await front.submit(job("1", "a.pt"))
            with server.client().pipeline(transaction=False) as pipe:
                for number in range(300):
                    pipe.set(f"other:{number}", "x" * 100)
                pipe.execute()
            server.client().save()
            server.kill()
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(asyncio.to_thread(server.start))
                assert _id(await front.claim("m1", "w")) == "1"
                await starting
    finally:
        server.close()


def _id(work: Work | None) -> str:
    assert work is not None
    return work.job


POISON = (
    "{",
    "null",
    '"text"',
    '{"models": ' + "[" * 2000 + "]" * 2000 + "}",
    '{"models": [' + ",".join(f'"m{n}.pt"' for n in range(20_000)) + "]}",
    '{"models": {"x:{}:*": null}}',
    '{"models": "' + "x" * 1_000_000 + '"}',
)


async def test_l4_poison_at_the_head_keeps_nobody_else_waiting(server: Server) -> None:
    async with clients(server.url, 1) as (front,):
        redis = front._redis
        await Rig(redis).begin("a.pt")
        for n, text in enumerate(POISON):
            await redis.hset(f"job:p{n}", mapping={"service_required": "comfyui", "requirements": text})
            await redis.zadd("jobs:pending", {f"p{n}": 1e15 + n})
        await redis.zadd("jobs:pending", {'ghost"{}:*': 2e15})
        await redis.set("job:odd", "not a hash")
        await redis.zadd("jobs:pending", {"odd": 3e15})
        await redis.hset("job:good", mapping={"service_required": "comfyui", "requirements": '{"models": ["a.pt"]}'})
        await redis.zadd("jobs:pending", {"good": 1})
        await front.submit(job("ours", "a.pt"))
        for _ in POISON:  # a call that takes long ends early
            await front.take_in()
        first, second = await front.claim("m1", "w"), await front.claim("m1", "w")
        assert [_id(first), _id(second)] == ["good", "ours"]
        assert await front.claim("m1", "w") is None
        assert await redis.zcard("jobs:pending") == 0


@pytest.fixture
async def fleet(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine], server: Server
) -> AsyncIterator[tuple[Machine, Claims]]:
    """A machine under the real agent that serves `base`; its catalog knows `style` too."""
    shop = {
        "models": [
            record(
                "base.safetensors", origin.put("base.safetensors", BASE), "models/checkpoints/base.safetensors", BASE
            ),
            record(
                "style.safetensors", origin.put("style.safetensors", STYLE), "models/loras/style.safetensors", STYLE
            ),
        ],
        "workflows": [workflow("flux", "base.safetensors")],
    }
    async with catalog(home / "c", shop) as url, clients(server.url, 1) as (front,):
        ours = {"WORKFLOW_IDS": "flux", "MODEL_MANAGER_ALLOW_HOSTS": origin.host, "REDIS_URL": server.url}
        machine = machine_of(url, **(ours | QUICK))
        machine.start()
        await machine.until_ready()
        await until(lambda: _serves(front), "the machine is offered and its model is known")
        yield machine, front


async def _serves(claims: Claims) -> bool:
    asks = {"service": "comfyui", "models": ["base.safetensors"]}
    return (await claims.machines_for(asks))[0] == 1


async def test_a_machine_under_its_agent_takes_part_without_further_code(fleet: tuple[Machine, Claims]) -> None:
    _, front = fleet
    answer = await front.submit(job("1", "base.safetensors"))
    assert answer.eligible == 1
    assert _id(await front.claim("m1", "w")) == "1"


async def test_l1_a_killed_machine_gets_no_job_two_heartbeats_after_its_lease(
    fleet: tuple[Machine, Claims], server: Server
) -> None:
    machine, front = fleet
    machine.kill()
    await machine.exited()
    left = server.client().pttl("machine:m1:model_manager")
    assert left <= 4 * 500, "its lease is four heartbeats"

    async def away() -> bool:
        return not server.client().exists("machine:m1:model_manager")

    await until(away, "its lease ends")
    await front.submit(job("1", "base.safetensors"))
    with pytest.raises(NotServing):
        await front.claim("m1", "w")
    assert await state(front, "1") == "pending"
    machine.start()
    assert _id(await front.claim("m1", "w", wait=60)) == "1"


async def test_l2_a_model_that_is_deleted_between_match_and_start_sends_the_job_to_another_machine(
    fleet: tuple[Machine, Claims],
) -> None:
    machine, front = fleet
    other = await Rig(front._redis, "m2").begin("checkpoints/base.safetensors")
    await front.submit(job("1", "base.safetensors", max_attempts=1))
    work = await front.claim("m1", "w")
    assert work is not None
    (machine.store / "checkpoints" / "base.safetensors").unlink()
    assert (await front.fail(work, "base.safetensors is not there", how="missing_model")).word == "pending"
    second = await other.claims.claim("m2", "w", wait=20)
    assert _id(second) == "1"
    assert second is not None
    assert await other.claims.complete(second) == "done"


async def test_l2_a_model_that_is_deleted_takes_its_jobs_along_until_it_is_back(
    fleet: tuple[Machine, Claims], server: Server
) -> None:
    machine, front = fleet
    origin_copy = (machine.store / "checkpoints" / "base.safetensors").read_bytes()
    assert origin_copy == BASE
    (machine.store / "checkpoints" / "extra.safetensors").write_bytes(STYLE)

    async def serves(expected: int) -> bool:
        return (await front.machines_for({"models": ["extra.safetensors"]}))[0] == expected

    await until(lambda: serves(1), "the new file is known")
    await front.submit(job("1", "extra.safetensors"))
    (machine.store / "checkpoints" / "extra.safetensors").unlink()
    await until(lambda: serves(0), "its loss is known")
    assert await front.claim("m1", "w") is None
    explained = await front.explain("1", machine="m1")
    assert explained.machines[0].missing == ("extra.safetensors",)
    (machine.store / "checkpoints" / "extra.safetensors").write_bytes(STYLE)
    assert _id(await front.claim("m1", "w", wait=60)) == "1"


async def test_l2_a_job_of_the_policy_fetch_has_its_model_fetched_and_the_gate_stays_open(
    fleet: tuple[Machine, Claims],
) -> None:
    machine, front = fleet
    answer = await front.submit(job("1", "style.safetensors", policy="fetch"))
    assert (answer.word, answer.eligible) == ("queued", 0)
    async with asyncio.TaskGroup() as group:
        claiming = group.create_task(front.claim("m1", "w", wait=60))
        while not claiming.done():
            assert await asyncio.to_thread(machine.ready)
            await asyncio.sleep(0.05)
    assert _id(claiming.result()) == "1"
    assert "loras/style.safetensors" in machine.files()
