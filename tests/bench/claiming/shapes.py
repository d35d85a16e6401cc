"""The two earlier shapes of matching on a server: the scan with decoding, and the sketch that reads the inventory for every job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import redis

from model_manager.facts import wire
from tests.bench.claiming.measuring import Claim
from tests.bench.claiming.world import FOLDER, SERVICE, Job, Machine, World

PAGE: Final = 1_000
CREATED: Final = 1_760_000_000_000
"""The first job's time of submission, in ms."""


class Shape:
    """Jobs in `jobs:pending` and `job:{id}`; `call` is one of the functions of shapes.lua, which looks at the best `window` jobs."""

    window = 100

    def __init__(self, client: redis.Redis, world: World, call: Literal["scan", "sketch"]) -> None:
        self._client, self._world, self._call = client, world, call
        self._capable: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self._submitted = 0
        client.function_load((Path(__file__).parent / "shapes.lua").read_text(), replace=True)

    def introduce(self, machines: Iterable[Machine]) -> None:
        """The sketch's inventories, as its keys hold them; the scan's machines bring theirs along with every call."""
        for machine in machines:
            self._capable[machine.name] = capabilities(machine, with_models=self._call == "scan")
            if self._call == "sketch":
                entries = [json.loads(wire.dumps(each)) for each in machine.entries]
                fields = {"machine_id": machine.name, "models": json.dumps({FOLDER: entries})}
                self._client.hset(f"machine:{machine.name}:models", mapping=fields)

    def submit(self, jobs: Iterable[Job]) -> None:
        pipe = self._client.pipeline(transaction=False)
        for job in jobs:
            self._submitted += 1
            self._jobs[job.id] = job
            pipe.hset(f"job:{job.id}", mapping=record(job, self._world))
            pipe.zadd("jobs:pending", {job.id: job.priority * 10**15 - (CREATED // 1000 + self._submitted)})
            if self._submitted % PAGE == 0:
                pipe.execute()
        pipe.execute()

    def settle(self, claims: Sequence[Claim]) -> None:
        """The same jobs again, behind the others."""
        for machine, job in claims:
            self._client.delete(f"jobs:active:{machine.name}", f"progress:{job}")
        self.submit(self._jobs[job] for _, job in claims)

    def command(self, machine: Machine) -> tuple[str | int, ...]:
        """One claim of this machine."""
        return "FCALL", f"bench_{self._call}", 0, self._capable[machine.name], str(self.window)

    def claimed(self, reply: Any) -> str | None:
        """The id of the job in the answer to `command`."""
        return None if reply is None else str(json.loads(reply)["jobId"])


def capabilities(machine: Machine, *, with_models: bool) -> str:
    """What a worker of the fleet says of itself when it asks for a job."""
    said: dict[str, Any] = {
        "worker_id": machine.name,
        "machine_id": machine.name,
        "services": [SERVICE],
        "job_service_required_map": [SERVICE],
        "hardware": {"ram_gb": 64, "gpu_memory_gb": machine.gpu, "gpu_model": "some"},
        "customer_access": {"isolation": "none"},
        "performance": {"concurrent_jobs": 1, "quality_levels": ["fast", "balanced"]},
        "metadata": {"version": "1.0.0", "node_version": "v20"},
    }
    return json.dumps(said | ({"models": {SERVICE: sorted(machine.models)}} if with_models else {}))


def record(job: Job, world: World) -> dict[str, str]:
    """The fields of `job:{id}` that the fleet's producer writes."""
    return {
        "id": job.id,
        "service_required": SERVICE,
        "priority": str(job.priority),
        "payload": json.dumps({"workflow": job.payload}),
        "requirements": json.dumps(world.signatures[job.signature].requirements),
        "customer_id": "",
        "created_at": "2026-01-01T00:00:00.000Z",
        "status": "pending",
        "retry_count": "0",
        "max_retries": "3",
        "workflow_id": "",
        "workflow_priority": "50",
        "workflow_datetime": str(CREATED),
        "current_step": "1",
        "total_steps": "1",
    }
