"""Random histories of a pool on a real server, and what the slow reference says of every step."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Disk
from tests.bus.routing_reference import Job, Machine, able, best, fits
from tests.bus.telling import Teller, entry

PLACES = [("loras", "a.pt"), ("checkpoints", "a.pt"), ("loras", "SD15/b.pt"), ("loras", "b.pt"), ("unet", "c.pt"),
          ("diffusion_models", "d.pt"), ("vae", "deep/er/e.pt"), ("checkpoints", "f.pt")]  # fmt: skip
FILES = [
    replace(entry(name, folder, root), hash=f"{number:x}" * 64)
    for root in ("/one", "/two")
    for number, (folder, name) in enumerate(PLACES, 1)
]
MODELS: list[Any] = ["a.pt", "loras/a.pt", "models/checkpoints/a.pt", "b.pt", "SD15/b.pt", "unet/d.pt", "diffusion_models/c.pt",
          "er/e.pt", "e.pt", "f.pt", "absent.pt", "sha256:" + "1" * 64, "autov2:" + "2" * 10,
          {"name": "a.pt", "sha256": "2" * 64}]  # fmt: skip
GB = 1_000_000_000


class Seat:
    """One kind of worker on a machine, as the tests play it."""

    def __init__(self, machine: str, name: str) -> None:
        self.machine, self.name = machine, name


class Pool:
    """Everything that one test does to a pool, in the words of the functions."""

    def __init__(self, redis: Redis, prefix: str = "", functions: Functions | None = None) -> None:
        self.redis = redis
        self.keys = Keys(prefix)
        self._functions = functions or Functions(redis)

    async def call(self, name: str, *arguments: object, keys: tuple[str, ...] = ()) -> tuple[str, list[str]]:
        return await self._functions.call(name, (self.keys.routing, *keys), [str(each) for each in arguments])

    async def offer(self, machine: str, offer: object, seat: str = "", ttl: int = 0) -> tuple[str, list[str]]:
        text = offer if isinstance(offer, str) else json.dumps(offer)
        return await self.call("mm_offer", machine, seat, ttl, text, keys=(self.keys.lease(machine),))

    async def submit(
        self, job: str, wanted: object = "", priority: int = 0, customer: str = "", workflow: str = "", payload: str = "",
        attempts: int = 3, policy: str = "wait",
    ) -> tuple[str, int, str, dict[str, Any]]:  # fmt: skip
        """What is said of one job: the word, how many machines, its signature, the rest."""
        text = wanted if isinstance(wanted, str) else json.dumps(wanted)
        word, rest = await self.call("mm_submit", 1, job, priority, text, customer, workflow, payload, attempts, policy)
        assert word == "OK", rest
        return rest[1], int(rest[2]), rest[3], json.loads(rest[4])

    async def claim(
        self, machine: str, worker: str = "w", token: str = "t", seat: str = "", lease: int = 60_000, park: int = 0,
        bonus: int = 0, hot: tuple[str, ...] = (), done: tuple[str, str, str] = ("", "", ""),
    ) -> tuple[str, list[str]]:  # fmt: skip
        keys = (self.keys.lease(machine), self.keys.models(machine))
        values = (machine, worker, seat, token, lease, park, bonus, *done, len(hot), *hot)
        return await self.call("mm_claim", *values, keys=keys)

    async def next(
        self, machine: str, asking: list[tuple[str, str, str, str, str]], seat: str = "", lease: int = 60_000
    ) -> tuple[str, list[list[str]]]:
        """Several workers at once, each with its token and what it finished: the word, and what each is told."""
        keys = (self.keys.lease(machine), self.keys.models(machine))
        values = [value for each in asking for value in each]
        word, rest = await self.call("mm_next", machine, seat, lease, len(asking), *values, keys=keys)
        if word != "OK":
            return word, [[each] for each in rest]
        return word, [rest[9 * n : 9 * n + 9] for n in range(len(asking))]

    async def job(self, job: str) -> dict[str, Any]:
        word, rest = await self.call("mm_job", job)
        assert word == "OK", (word, rest)
        found: dict[str, Any] = json.loads(rest[0])
        return found

    async def settle(self) -> None:
        while (await self.call("mm_settle", 500))[1] == ["1"]:
            pass


class Agent:
    """A machine whose inventory and heartbeat go through the bus."""

    def __init__(self, redis: Redis, name: str, prefix: str = "") -> None:
        self.teller = Teller(name)
        self.bus = Bus(redis, MachineId(name), f"at-{name}", prefix, 10_000, 60.0)
        self._redis = redis

    async def introduce(self, *entries: Entry, free_gb: float | None = None) -> None:
        self.teller.held = {each.path: each for each in entries}
        await self.snapshot()
        await self.beat(free_gb)

    async def snapshot(self) -> None:
        self.teller.outbox.clear()
        envelope = self.teller.snapshot()
        assert isinstance(await self.bus.snapshot(envelope, self.teller.entries), Delivered)
        self.teller.outbox.clear()

    async def publish(self) -> None:
        if not isinstance(await self.bus.publish(self.teller.outbox), Delivered):
            await self.snapshot()
        self.teller.outbox.clear()

    async def beat(self, free_gb: float | None = None) -> None:
        disks = () if free_gb is None else (Disk(root="/m", free=round(free_gb * GB) + 5, total=10**13, floor=5),)
        heartbeat = self.teller.beat(installation=f"at-{self.teller.machine}", disks=disks)
        if not isinstance(await self.bus.beat(heartbeat, {}), Delivered):
            await self.snapshot()

    async def die(self) -> None:
        """Its lease ends, and a second has passed since: what the server had in mind of it is gone."""
        await self._redis.delete(self.bus.keys.lease(self.teller.machine))
        await self._redis.hset(f"{self.bus.keys.routing}:tokens", "\n", uuid4().hex)
        await self._redis.zadd(self.bus.keys.alive, {self.teller.machine: 1})


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that a worker says it has finished. `stale`: with a token that is not the job's."""

    job: Job | None
    stale: bool = False

    @property
    def said(self) -> tuple[str, str, str]:
        return (self.job.id, "other" if self.stale else self.job.token or "none", "r") if self.job else ("", "", "")

    def told(self, word: str) -> bool:
        """Whether it is the right answer; the job is done from now on if it is."""
        if self.job is None:
            return word == ""
        if self.job.state == "running" and not self.stale:
            self.job.state = "done"
            return word == "DONE"
        if self.job.state == "done" and not self.stale:
            return word == "REPEAT"
        return word == ("CANCELLED" if self.job.state == "cancelled" else "STALE")


class World:
    """Four machines and whatever happens to their jobs. A seed tells the whole history."""

    def __init__(self, redis: Redis, chance: random.Random, functions: Functions | None = None) -> None:
        self.redis, self.chance, self.pool = redis, chance, Pool(redis, functions=functions)
        self.agents = {f"m{n}": Agent(redis, f"m{n}") for n in range(4)}
        self.machines = {name: Machine(name, known=False, live=False) for name in self.agents}
        self.jobs: dict[str, Job] = {}
        self.steps: list[str] = []
        self.claims = self.empties = self.wrong = 0
        self._number = 0
        self._hot: list[tuple[str, Job]] = []

    async def play(self, steps: int) -> None:
        doings: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (24, self.submit), (30, self.claim), (12, self.complete), (8, self.fail), (4, self.lease_ends), (3, self.cancel),
            (3, self.retry), (12, self.files_change), (3, self.snapshot), (2, self.dies), (2, self.says_bye), (6, self.comes),
            (5, self.disk_changes), (6, self.offers), (2, self.offer_ends), (2, self.time_passes), (3, self.asks_again),
            (2, self.submits_again), (12, self.several_claim), (2, self.counts), (1, self.signatures_go), (1, self.functions_lost),
        ]  # fmt: skip
        weights = [weight for weight, _ in doings]
        for _ in range(4):
            await self.comes()
        for _ in range(steps):
            _, doing = self.chance.choices(doings, weights)[0]
            self.steps.append(doing.__name__)
            await doing()

    def _one(self, *, up: bool | None = None) -> Machine | None:
        found = [each for each in self.machines.values() if up is None or each.live == up]
        return self.chance.choice(found) if found else None

    def _job(self, *states: str) -> Job | None:
        found = [job for job in self.jobs.values() if job.state in states]
        return self.chance.choice(found) if found else None

    def _wanted(self) -> dict[str, Any]:
        chance, wanted = self.chance, {}
        if chance.random() < 0.8:
            wanted["models"] = chance.sample(MODELS, chance.choice([1, 1, 1, 2, 3]))
        for key, values, odds in (
            ("service", ["comfyui", "a1111"], 0.6), ("gpu_memory_gb", [8, 16, 24.5], 0.3), ("storage_gb", [10, 100], 0.2),
            ("features", [["x"], ["x", "y"]], 0.1), ("tier", ["gold"], 0.05), ("limits", [{"batch": 4}], 0.05),
            ("customer_isolation", ["strict", "loose"], 0.05),
        ):  # fmt: skip
            if chance.random() < odds:
                wanted[key] = chance.choice(values)
        if chance.random() < 0.15:
            wanted["negative_requirements"] = chance.choice(
                [
                    {"tier": "gold"},
                    {"gpu_memory_gb": 24},
                    {"models": ["f.pt"]},
                    {"models": ["a.pt"], "service": "a1111"},
                ]
            )
        return wanted

    async def submit(self) -> None:
        self._number += 1
        wanted, job_id = self._wanted(), f"j{self._number}"
        customer, workflow = self.chance.choice(["", "ann", "bob", "cy"]), self.chance.choice(["", "", "wf1", "wf2"])
        priority, attempts = self.chance.choice([0, 0, 0, 1, 5, -3]), self.chance.choice([1, 2, 5])
        policy = self.chance.choice(["wait", "wait", "reject", "fetch"])
        job = Job(job_id, wanted, customer, workflow, 0.0, attempts)
        await self.pool.settle()
        word, eligible, _, told = await self.pool.submit(
            job_id, wanted, priority, customer, workflow, "p" * self.chance.choice([0, 10, 100]), attempts, policy
        )
        expected = able(job, self.machines.values())
        if policy == "reject" and not expected:
            assert word == "REJECTED", (word, told)
            return
        assert word == "QUEUED", (word, told)
        await self.pool.settle()
        found = await self.pool.job(job_id)
        assert found["eligible"] == len(expected), (job, expected, eligible, found)
        word, eligible, _, told = await self.pool.submit(job_id, wanted)
        assert (word, eligible, told["models"]) == ("KNOWN", len(expected), found["models"])
        job.score = found["score"]
        self.jobs[job_id] = job

    async def submits_again(self) -> None:
        if job := self._job("pending", "running", "done"):
            word, *_ = await self.pool.submit(job.id, {"models": "other.pt"})
            assert word == "KNOWN"

    def _seat(self, machine: Machine) -> str:
        return self.chance.choice(["", "left", "right"])

    async def claim(self) -> None:
        machine = self.chance.choice(list(self.machines.values()))
        seat, exact = self._seat(machine), self.chance.random() < 0.8
        if exact:
            await self.pool.settle()
        self._number += 1
        token, hot = (
            f"t{self._number}",
            self.chance.sample(self._hot, min(len(self._hot), self.chance.choice([0, 0, 2]))),
        )
        bonus = self.chance.choice([1, 1000]) if hot else 0
        finished = self._finished()
        word, rest = await self.pool.claim(
            machine.name, "w1", token, seat, bonus=bonus, hot=tuple(sid for sid, _ in hot), done=finished.said
        )
        assert finished.told(rest[-1] if word in ("JOB", "EMPTY") else rest[0]), (finished, word, rest)
        offer = machine.offers.get(seat, machine.offers.get(""))
        if offer is None or not machine.known:
            assert word == "UNKNOWN", (word, rest)
            return
        if not machine.live:
            assert word == "AWAY", (word, rest)
            return
        first = best(list(self.jobs.values()), machine, offer)
        if word == "EMPTY":
            self.empties += 1
            assert first is None or not exact, (first, machine)
            return
        assert word == "JOB", (word, rest)
        self.claims += 1
        job = self.jobs[rest[0]]
        assert job.state == "pending", job
        assert fits(job.wanted, machine, offer, job), (job, machine)
        if exact and first is not None and not hot:
            assert job.id == first.id, (job, first)
        if first is not None and hot:
            assert exact is False or job.score <= first.score + bonus * 1000, (job, first)
            assert exact is False or job.id == first.id or rest[1] in {sid for sid, _ in hot}, (job, first)
        self._runs(job, token, machine, "w1")
        self._hot = [*self._hot, (rest[1], replace(job))][-6:]

    def _runs(self, job: Job, token: str, machine: Machine, worker: str) -> None:
        job.state, job.token, job.machine, job.worker = "running", token, machine.name, worker
        job.attempts_left -= 1

    def _finished(self) -> Finished:
        """What a worker says that it has finished, which may be over already, or never was its own."""
        job = self._job("running", "done", "cancelled", "pending") if self.chance.random() < 0.4 else None
        return Finished(job, stale=self.chance.random() < 0.2)

    async def several_claim(self) -> None:
        machine = self.chance.choice(list(self.machines.values()))
        seat, said, asking = self._seat(machine), [], []
        await self.pool.settle()
        for n in range(self.chance.choice([1, 2, 3, 8])):
            self._number += 1
            finished = self._finished()
            if finished.job and any(finished.job is other.job for other in said):
                finished = Finished(None)
            said.append(finished)
            asking.append((f"w{n}", f"t{self._number}", *finished.said))
        word, replies = await self.pool.next(machine.name, asking, seat)
        for finished, reply in zip(said, replies, strict=True):
            assert finished.told(reply[-1]), (finished, word, reply)
        offer = machine.offers.get(seat, machine.offers.get(""))
        if offer is None or not machine.known:
            assert word == "UNKNOWN", (word, replies)
        elif not machine.live:
            assert word == "AWAY", (word, replies)
        else:
            for (worker, token, *_), reply in zip(asking, replies, strict=True):
                self._given(machine, offer, worker, token, reply)

    def _given(self, machine: Machine, offer: Mapping[str, Any], worker: str, token: str, reply: list[str]) -> None:
        first = best(list(self.jobs.values()), machine, offer)
        if reply[0] == "AGAIN":
            return
        if first is None:
            self.empties += 1
            assert reply[0] == "EMPTY", (reply, machine)
            return
        self.claims += 1
        assert reply[:2] == ["JOB", first.id], (reply, first)
        self._runs(first, token, machine, worker)

    async def asks_again(self) -> None:
        job = self._job("running")
        if job is None or not self.machines[job.machine].live or not self.machines[job.machine].offers:
            return
        if "" not in self.machines[job.machine].offers:
            return
        word, rest = await self.pool.claim(job.machine, job.worker, job.token)
        assert (word, rest[0]) == ("JOB", job.id)

    async def complete(self) -> None:
        if job := self._job("running", "running", "done", "pending", "cancelled", "delayed"):
            stale = self.chance.random() < 0.3
            word, _ = await self.pool.call("mm_complete", job.id, "other" if stale else job.token or "none", "r", "")
            if job.state == "running" and not stale:
                assert word == "DONE"
                job.state = "done"
            elif job.state == "done" and not stale:
                assert word == "REPEAT"
            else:
                assert word == ("CANCELLED" if job.state == "cancelled" else "STALE"), (word, job, stale)

    async def fail(self) -> None:
        job = self._job("running")
        if job is None:
            return
        mode = self.chance.choice(["retry", "retry", "missing_model", "elsewhere", "final"])
        backoff = self.chance.choice([0, 600_000])
        word, _ = await self.pool.call("mm_fail", job.id, job.token, mode, "because", backoff)
        assert (await self.pool.call("mm_fail", job.id, job.token, mode, "because", backoff))[0] == "STALE"
        if mode in ("missing_model", "elsewhere"):
            self._exclude(job)
        if mode == "missing_model":
            job.attempts_left += 1
        dead = mode == "final" or (mode != "missing_model" and job.attempts_left == 0)
        job.state = "dead" if dead else "delayed" if backoff and mode != "missing_model" else "pending"
        assert word == job.state.upper(), (word, job, mode)
        job.token = ""

    def _exclude(self, job: Job) -> None:
        if job.machine not in job.excluded:
            job.excluded.append(job.machine)

    async def lease_ends(self) -> None:
        """The worker is killed; nobody hears of it until its lease is over."""
        if job := self._job("running"):
            await self.redis.zadd("routing:leases", {job.id: 1})
            word, rest = await self.pool.call("mm_reap", 100)
            assert word == "OK"
            assert int(rest[0]) + int(rest[1]) == 1
            job.state = "dead" if job.attempts_left == 0 else "pending"
            late = await self.pool.call("mm_complete", job.id, job.token, "r", "")
            assert late[0] == "STALE"
            job.token = ""

    async def time_passes(self) -> None:
        """Every delay is over."""
        waiting = [job for job in self.jobs.values() if job.state == "delayed"]
        for job in waiting:
            await self.redis.zadd("routing:delayed", {job.id: 1}, xx=True)
            job.state = "pending"
        word, rest = await self.pool.call("mm_reap", 500)
        assert (word, int(rest[2])) == ("OK", len(waiting))

    async def cancel(self) -> None:
        if job := self._job("pending", "running", "delayed", "done", "dead"):
            word, _ = await self.pool.call("mm_cancel", job.id)
            if job.state in ("done", "dead"):
                assert word == "OVER"
            else:
                assert word == "CANCELLED"
                if job.state == "running":
                    assert (await self.pool.call("mm_extend", job.id, job.token, 60_000))[0] == "CANCELLED"
                job.state = "cancelled"

    async def retry(self) -> None:
        if job := self._job("dead", "cancelled", "delayed", "running"):
            word, _ = await self.pool.call("mm_retry", job.id)
            if job.state == "running":
                assert word == "OVER"
                return
            assert word == "PENDING"
            job.state, job.excluded, job.token = "pending", [], ""
            job.attempts_left = (await self.pool.job(job.id))["max_attempts"]

    async def files_change(self) -> None:
        machine = self._one(up=True)
        if machine is None:
            return
        agent = self.agents[machine.name]
        teller = agent.teller
        for _ in range(self.chance.choice([1, 1, 3])):
            some = self.chance.sample(FILES, self.chance.choice([1, 2, 4]))
            here = [teller.held[each.path] for each in some if each.path in teller.held]
            away = [each for each in some if each.path not in teller.held]
            kind = self.chance.random()
            if here and kind < 0.3:
                teller.vanish(*here)
            elif here and kind < 0.5:
                teller.change(*(replace(each, verified=self.chance.random() < 0.6) for each in here))
            elif away:
                teller.appear(*away)
        await agent.publish()
        self._files(machine)

    def _files(self, machine: Machine) -> None:
        held = self.agents[machine.name].teller.held.values()
        machine.files = {each.path: (each.folder, each.name, each.hash) for each in held if each.verified}

    async def snapshot(self) -> None:
        if machine := self._one(up=True):
            agent = self.agents[machine.name]
            agent.teller.held = {
                each.path: each for each in self.chance.sample(FILES, self.chance.randrange(len(FILES)))
            }
            if self.chance.random() < 0.5:
                agent.teller.restart()
            await agent.snapshot()
            self._files(machine)

    async def comes(self) -> None:
        machine = self._one(up=False)
        if machine is None:
            return
        agent = self.agents[machine.name] = Agent(self.redis, machine.name)
        agent.teller.epoch = 1_700_000_000_000 + len(self.steps)
        some = self.chance.sample(FILES, self.chance.randrange(4, len(FILES)))
        was_known = machine.known
        await agent.introduce(*some, free_gb=machine.free_gb if was_known else None)
        machine.live = machine.known = True
        if not was_known:
            machine.free_gb, machine.offers = None, {}
        self._files(machine)
        await self._offer(machine, "")

    async def dies(self) -> None:
        if machine := self._one(up=True):
            await self.agents[machine.name].die()
            machine.live = False
            if self.chance.random() < 0.7:
                for name in await self.agents[machine.name].bus.reap():
                    self.machines[name].known, self.machines[name].offers = False, {}

    async def says_bye(self) -> None:
        if machine := self._one(up=True):
            agent = self.agents[machine.name]
            assert isinstance(await agent.bus.bye(agent.teller.bye()), Delivered)
            machine.live = machine.known = False
            machine.offers = {}

    async def disk_changes(self) -> None:
        if machine := self._one(up=True):
            machine.free_gb = self.chance.choice([0.0, 9.9, 10.0, 50.0, 100.0, 500.0])
            await self.agents[machine.name].beat(machine.free_gb)

    def _offered(self) -> dict[str, Any]:
        chance = self.chance
        offer: dict[str, Any] = {"services": chance.sample(["comfyui", "a1111"], chance.choice([1, 2]))}
        offer["hardware"] = {"gpu_memory_gb": chance.choice([8, 24, 24.5, 48])}
        for key, values, odds in (
            ("features", [["x"], ["x", "y", "z"]], 0.5), ("tier", ["gold", "iron"], 0.3), ("limits", [{"batch": 8}], 0.3),
            ("workflow_id", ["wf1"], 0.1), ("storage_gb", [50], 0.2), ("models", ["all", {"comfyui": ["a.pt", "f.pt"]}], 0.15),
            ("customer_access", [{"isolation": "strict"}, {"isolation": "strict", "allowed_customers": ["ann"]},
                                 {"denied_customers": ["bob"]}], 0.25),
        ):  # fmt: skip
            if chance.random() < odds:
                offer[key] = chance.choice(values)
        return offer

    async def _offer(self, machine: Machine, seat: str) -> None:
        offer = self._offered()
        word, rest = await self.pool.offer(machine.name, offer, seat)
        assert word == "OK", rest
        machine.offers[seat] = offer

    async def offers(self) -> None:
        if machine := self._one(up=True):
            await self._offer(machine, self._seat(machine))

    async def offer_ends(self) -> None:
        if machine := self._one(up=True):
            seat = self._seat(machine)
            assert (await self.pool.offer(machine.name, "", seat))[0] == "OK"
            machine.offers.pop(seat, None)

    async def counts(self) -> None:
        """The number of waiting jobs is theirs, and each state lists exactly its own."""
        for state in ("pending", "running", "delayed", "dead"):
            expected = {job.id for job in self.jobs.values() if job.state == state}
            found, cursor = set(), ""
            while cursor != "0":
                _, (cursor, total, *told) = await self.pool.call("mm_jobs", state, cursor or "0", 100)
                assert int(total) == len(expected), state
                found |= {json.loads(text)["id"] for text in told[::2]}
            assert found == expected, state

    async def signatures_go(self) -> None:
        """An hour passes: signatures that no job has are forgotten, and their numbers used again."""
        for sid in await self.redis.zrange("routing:spare", 0, -1):
            await self.redis.zadd("routing:spare", {sid: 1})
        await self.pool.call("mm_reap", 100)

    async def functions_lost(self) -> None:
        await self.redis.function_flush()

    async def quiet(self) -> None:
        """Everybody lives and may do anything: what waits is claimed in order, and nothing is lost."""
        for machine in list(self.machines.values()):
            agent = self.agents[machine.name]
            if not machine.live:
                agent = self.agents[machine.name] = Agent(self.redis, machine.name)
                agent.teller.epoch = 1_800_000_000_000
            await agent.introduce(*FILES, free_gb=500.0)
        await self.time_passes()
        await self.pool.offer("m0", {"services": ["comfyui", "a1111"], "models": "all", "storage_gb": 500}, "last")
        for job in self.jobs.values():
            if job.state in ("running", "dead", "cancelled", "delayed", "done"):
                continue
            found = await self.pool.job(job.id)
            assert found["state"] == "pending"
            assert sorted(found["excluded"]) == sorted(job.excluded)
        await self.counts()
