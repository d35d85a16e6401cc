"""Our way to hand out jobs, as raw calls of the functions, so that every contender pays for the same client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import redis

from model_manager.bus.connection import connect
from model_manager.bus.functions import library, version
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.identity import MachineId
from tests.bench.claiming.crews import Crew
from tests.bench.claiming.measuring import Claim
from tests.bench.claiming.tools import HERE
from tests.bench.claiming.world import SERVICE, Job, Machine, World
from tests.bus.telling import Teller

PAGE: Final = 50
DAY: Final = 86_400.0
LEASE_MS: Final = "600000"
STEPS: Final = 2_000
KEYS: Final = Keys()
ROOT: Final = "routing"


class Ours:
    """Machines with agents, whose inventories decide; claims with a lease and a token."""

    def __init__(self, client: redis.Redis, fleet: World) -> None:
        self._client, self._fleet = client, fleet
        self._jobs: dict[str, Job] = {}
        self._tokens: deque[str] = deque()
        self._asked: dict[str, str] = {}
        self._count = 0
        self._asking = [json.dumps({"service": SERVICE} | each.requirements) for each in fleet.signatures]
        client.function_load(library(), replace=True)

    def introduce(self, machines: Iterable[Machine]) -> None:
        """Their inventories and leases as their agents publish them, and what their workers offer."""
        asyncio.run(_published(self._url, machines))
        for machine in machines:
            self.offer(machine)
        self.indexed()

    def offer(self, machine: Machine) -> None:
        """What every worker of this machine offers, as long as its agent lives."""
        offer = {"services": [SERVICE], "hardware": {"gpu_memory_gb": machine.gpu}}
        self._expect("OK", "mm_offer", (ROOT, KEYS.lease(machine.name)), (machine.name, "", "0", json.dumps(offer)))

    def indexed(self) -> None:
        """Goes on with what calls left for later, until nothing is left."""
        while self._expect("OK", "mm_settle", (ROOT,), (str(STEPS),))[1] == b"1":
            pass

    def submit(self, jobs: Iterable[Job]) -> None:
        page: list[Job] = []
        for job in jobs:
            page.append(job)
            if len(page) == PAGE:
                self._submit(page)
                page = []
        if page:
            self._submit(page)

    def _submit(self, page: Sequence[Job]) -> None:
        fields: list[str] = [str(len(page))]
        for job in page:
            self._jobs[job.id] = job
            fields += (job.id, str(job.priority), self._asking[job.signature], "", "", job.payload, "3", "wait")
        reply = self._expect("OK", "mm_submit", (ROOT,), fields)
        if reply[1] == b"1":
            self.indexed()
        taken = sum(word == b"QUEUED" for word in reply[2::4])
        assert all(word == b"AGAIN" for word in reply[2 + 4 * taken :: 4]), reply
        if taken < len(page):
            self._submit(page[taken:])

    def command(self, machine: Machine) -> tuple[str | int, ...]:
        """One claim of this machine."""
        self._count += 1
        token = f"t{self._count}"
        self._tokens.append(token)
        keys = (ROOT, KEYS.lease(machine.name), KEYS.models(machine.name))
        asked = (machine.name, machine.name, "", token, LEASE_MS, "0", "0", "", "", "", "0")
        return "FCALL", f"mm_claim_{version()}", len(keys), *keys, *asked

    def claimed(self, reply: Any) -> str | None:
        """The id of the job in the answer to the earliest `command` that was not asked about."""
        token = self._tokens.popleft()
        if reply[0] == b"EMPTY":
            return None
        if reply[0] != b"JOB":
            raise AssertionError(reply)
        job: str = reply[1].decode()
        self._asked[job] = token
        return job

    def settle(self, claims: Sequence[Claim]) -> None:
        """Completes them, and submits as many of the same kind."""
        pipe, again = self._client.pipeline(transaction=False), []
        for _, job in claims:
            self._count += 1
            again.append(replace(self._jobs.pop(job), id=f"again{self._count}"))
            pipe.execute_command("FCALL", f"mm_complete_{version()}", 1, ROOT, job, self._asked.pop(job), "", "0")
        for reply in pipe.execute():
            assert reply[0] == b"DONE", reply
        self.submit(again)

    @property
    def _url(self) -> str:
        return f"unix://{self._client.connection_pool.connection_kwargs['path']}"

    def _expect(self, word: str, name: str, keys: Sequence[str], arguments: Sequence[str]) -> list[bytes]:
        reply: list[bytes] = self._client.execute_command("FCALL", f"{name}_{version()}", len(keys), *keys, *arguments)
        if reply[0] != word.encode():
            raise AssertionError((name, reply))
        return reply


async def _published(url: str, machines: Iterable[Machine]) -> None:
    client = connect(url, timeout=60)
    try:
        for machine in machines:
            teller, bus = teller_of(machine), Bus(client, MachineId(machine.name), "here", "", 10_000, DAY)
            await bus.beat(teller.beat(), {})
            assert isinstance(await bus.snapshot(teller.snapshot(), teller.entries), Delivered)
            await bus.beat(teller.beat(), {})
    finally:
        await client.aclose()


def teller_of(machine: Machine) -> Teller:
    teller = Teller(machine.name)
    teller.held = {each.path: each for each in machine.entries}
    return teller


def crew_of_node(home: Path, fleet: World, node: Path) -> Crew:
    """Workers in node with the client that BullMQ uses."""
    env = {"BENCH_NODE_MODULES": str(node / "node_modules"), "BENCH_ORDER": str(_order(home, fleet))}
    return Crew(name="ours in node", fill=(), work=("node", str(HERE / "ours.mjs")), env=env)


def crew_of_python(home: Path, fleet: World) -> Crew:
    """Eight workers in one process."""
    work = (sys.executable, "-m", "tests.bench.claiming.worker")
    return Crew(name="ours in Python", fill=(), work=work, env={"BENCH_ORDER": str(_order(home, fleet))})


def _order(home: Path, fleet: World) -> Path:
    """What a worker's program must know."""
    path = home / "order.json"
    machines = [(each.name, KEYS.lease(each.name), KEYS.models(each.name)) for each in fleet.machines]
    path.write_text(json.dumps({"next": f"mm_next_{version()}", "root": ROOT, "machines": machines}))
    return path
