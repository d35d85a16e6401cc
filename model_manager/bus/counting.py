"""What the functions of routing count: what became of claims, and when a job last needed a model on a machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.facts.routed import Routed

CHUNK: Final = 200
"""Hashes of one round trip."""

_COUNTED: Final = ("jobs", "claims", "claims_hot", "claims_fetched", "claims_missing")
_STATES: Final = ("leases", "delayed", "dead", "done")

Ran = Mapping[str, int]
"""What a model is called by (`n:` a name, `f:` folder/name, `h:` a digest) → seconds since 1970."""


async def routed(redis: Redis, keys: Keys) -> Routed:
    """As of one instant. All zeros for a pool without jobs. Raises BusUnavailable."""
    with translate():
        async with redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.routing, list(_COUNTED))
            for name in _STATES:
                pipe.zcard(f"{keys.routing}:{name}")
            counted, running, delayed, dead, done = await pipe.execute()
    jobs, claims, hot, fetched, missing = (int(text or 0) for text in counted)
    waiting = max(0, jobs - running - delayed - dead - done)
    return Routed(
        claims=claims, hot=hot, fetched=fetched, missing=missing,
        waiting=waiting, running=running, delayed=delayed, dead=dead,
    )  # fmt: skip


async def ran(redis: Redis, keys: Keys, machines: Iterable[str]) -> dict[str, Ran]:
    """When a job that needed a model was last given to a worker of these machines; those without one are left out. Raises
    BusUnavailable."""
    found: dict[str, Ran] = {}
    rest = iter(machines)
    while chunk := list(islice(rest, CHUNK)):
        with translate():
            async with redis.pipeline(transaction=False) as pipe:
                for machine in chunk:
                    pipe.hgetall(f"{keys.routing}:ran:{machine}")
                answers: list[Any] = await pipe.execute(raise_on_error=False)
        for machine, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, Exception):
                continue  # garbage; the next claim deletes it
            if told := {_text(word): int(at) for word, at in answer.items() if at.isdigit()}:
                found[machine] = told
    return found


def _text(word: bytes) -> str:
    return word.decode("utf-8", "replace")
