"""What producers and workers of the running fleet do with Redis, as tests play them."""

from __future__ import annotations

import json
from typing import Any

import redis

from model_manager.bus.functions import library, version

ROOT, PENDING = "routing", "jobs:pending"


class Fleet:
    """What producers and workers of the running fleet do with Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        client.flushall()
        if not client.function_list(f"model_manager_{version()}"):
            client.function_load(library())

    def submit(self, *jobs: dict[str, str]) -> None:
        """Best first."""
        pipe = self.client.pipeline(transaction=False)
        for n, job in enumerate(jobs):
            pipe.hset(f"job:{job['id']}", mapping=job)
            pipe.zadd(PENDING, {job["id"]: 10**6 - n})
        pipe.execute()

    def ask(self, worker: dict[str, Any], *more: str) -> dict[str, Any] | None:
        """A worker's poll: the answer, decoded."""
        said = json.dumps(worker)
        reply = self.client.execute_command(
            "FCALL", f"mm_find_matching_job_{version()}", 2, ROOT, PENDING, said, "100", *more
        )
        return None if reply is None else dict(json.loads(reply))

    def gets(self, worker: dict[str, Any]) -> str | None:
        """The id of the job that this worker gets; one call does a bounded part, so it asks again while something is left to do."""
        answer = self.ask(worker)
        while answer is None and self.client.exists(f"{ROOT}:todo"):
            answer = self.ask(worker)
        return None if answer is None else str(answer["jobId"])

    def hash(self, key: str) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.client.hgetall(key).items()}


def job(number: int = 1, requirements: Any = "", **fields: str) -> dict[str, str]:
    text = requirements if isinstance(requirements, str) else json.dumps(requirements)
    return {
        "id": f"j{number}",
        "service_required": "comfyui",
        "priority": "50",
        "payload": '{"n": 1}',
        "requirements": text,
        "customer_id": "",
        "status": "pending",
        "retry_count": "0",
        "max_retries": "3",
        **fields,
    }


def worker(name: str = "w1", **said: Any) -> dict[str, Any]:
    services = ["comfyui"]
    mine = {"worker_id": name, "machine_id": "m1", "services": services, "job_service_required_map": services}
    return mine | {"hardware": {"gpu_memory_gb": 24}, "models": {"comfyui": ["a.safetensors"]}} | said
