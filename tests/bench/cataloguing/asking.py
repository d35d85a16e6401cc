"""Requests at a steady rate, whether or not the answers keep up: each one's time counts from when it was due."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from tests.bench.cataloguing.records import model_name

Ask = tuple[str, str, object]
"""Method, path, body."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, sorted."""

    taken: tuple[float, ...]

    @property
    def p99(self) -> float:
        return self.taken[min(len(self.taken) - 1, int(len(self.taken) * 0.99))]

    @property
    def median(self) -> float:
        return self.taken[len(self.taken) // 2]


def single(models: int, chance: random.Random) -> Ask:
    return "GET", f"/models/name/{model_name(chance.randrange(models))}", None


def batch(size: int) -> Callable[[int, random.Random], Ask]:
    def ask(models: int, chance: random.Random) -> Ask:
        return "POST", "/models/batch", {"model_ids": [model_name(chance.randrange(models)) for _ in range(size)]}

    return ask


async def steadily(url: str, make: Callable[[int, random.Random], Ask], models: int, rate: float, count: int) -> Times:
    """`count` requests, `rate` a second. Raises for an answer that is not good."""
    chance = random.Random(7)
    asks = [make(models, chance) for _ in range(count)]
    taken: list[float] = []
    plain = {"Accept-Encoding": "identity"}  # as the agent asks
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=64), headers=plain) as session:
        for ask in asks[:10]:
            await _one(session, ask)
        gc.collect()
        gc.disable()  # it is the server that is measured
        async with asyncio.TaskGroup() as group:
            begin = time.perf_counter() + 0.05

            async def due(at: int, ask: Ask) -> None:
                moment = begin + at / rate
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                await _one(session, ask)
                taken.append((time.perf_counter() - moment) * 1000)

            for at, ask in enumerate(asks):
                group.create_task(due(at, ask))
    gc.enable()
    return Times(tuple(sorted(taken)))


async def _one(session: aiohttp.ClientSession, ask: Ask) -> None:
    method, path, body = ask
    async with session.request(method, path, json=body) as response:
        response.raise_for_status()
        await response.read()
