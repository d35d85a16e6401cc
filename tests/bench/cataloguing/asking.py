"""Requests at a steady rate, whether or not the answers keep up: each one's time counts from when it was due."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.cataloguing.records import model_name

Ask = bytes
"""A request as it goes over the wire."""

LINES = 64
"""Connections."""

ROOM = 256 * 1024
"""Bytes of an answer that are read at once."""

HEAD = 4096
"""Bytes that the head of an answer has at most, in each part that comes."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, sorted; the bytes of the bodies that came; seconds of processor time that asking took; and by how many ms the
    last question to be sent was late at most, which no server has a part in."""

    taken: tuple[float, ...]
    received: int = 0
    spent: float = 0.0
    late: float = 0.0

    @property
    def p99(self) -> float:
        return self.taken[min(len(self.taken) - 1, int(len(self.taken) * 0.99))]

    @property
    def median(self) -> float:
        return self.taken[len(self.taken) // 2]


def single(models: int, chance: random.Random) -> Ask:
    return _request("GET", f"/models/name/{model_name(chance.randrange(models))}")


def batch(size: int) -> Callable[[int, random.Random], Ask]:
    def ask(models: int, chance: random.Random) -> Ask:
        body = {"model_ids": [model_name(chance.randrange(models)) for _ in range(size)]}
        return _request("POST", "/models/batch", json.dumps(body).encode())

    return ask


def listed(question: str) -> Callable[[int, random.Random], Ask]:
    """The first page of a list, of models whose names hold what nobody asked for before where `{}` stands."""

    def ask(models: int, chance: random.Random) -> Ask:
        return _request("GET", f"/models?limit=50&{question.format(model_name(chance.randrange(models))[:13])}")

    return ask


def authorization(_models: int, _chance: random.Random) -> Ask:
    return _request("GET", "/models/validate-auth")


async def steadily(
    url: str, make: Callable[[int, random.Random], Ask], models: int, rate: float, count: int, seed: int = 7
) -> Times:
    """`count` requests, `rate` a second, each on any connection that is free: as many machines would. Raises for an answer that is
    not good.

    They are written and read by hand: an HTTP client would take as much processor time as what it asks.
    """
    chance = random.Random(seed)
    warming = [make(models, chance) for _ in range(min(10, count))]
    asks = [make(models, chance) for _ in range(count)]
    taken: list[float] = []
    lines = _Lines(url, chance)
    try:
        await lines.open()
        for ask in warming:
            await lines.ask(ask)
        gc.collect()
        gc.disable()  # it is the server that is measured
        begin = time.perf_counter() + 0.05
        before, spent, late = lines.received, time.process_time(), 0.0

        async def one(moment: float, ask: Ask) -> None:
            await lines.ask(ask)
            taken.append((time.perf_counter() - moment) * 1000)

        async with asyncio.TaskGroup() as group:
            for at, ask in enumerate(asks):
                moment = begin + at / rate
                if (wait := moment - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                late = max(late, time.perf_counter() - moment)
                group.create_task(one(moment, ask))
        return Times(tuple(sorted(taken)), lines.received - before, time.process_time() - spent, late * 1000)
    finally:
        gc.enable()
        lines.close()


class _Lines:
    """Connections that are kept, each with one question at a time."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._place = urlsplit(url)
        self._chance = chance
        self._free: list[_Line] = []
        self._waiting: deque[asyncio.Future[_Line]] = deque()
        self.received = 0

    async def open(self) -> None:
        """Machines keep theirs: what it takes to connect is no part of an answer."""
        loop = asyncio.get_running_loop()
        for _ in range(LINES):
            _, line = await loop.create_connection(_Line, self._place.hostname, self._place.port)
            self._free.append(line)

    async def ask(self, ask: Ask) -> None:
        line = await self._line()
        size = await line.ask(ask)
        self.received += size
        if self._waiting:
            self._waiting.popleft().set_result(line)
        else:
            self._free.append(line)

    def close(self) -> None:
        for line in self._free:
            line.close()

    async def _line(self) -> _Line:
        if self._free:
            at = self._chance.randrange(len(self._free))
            self._free[at], self._free[-1] = self._free[-1], self._free[at]
            return self._free.pop()
        waiting: asyncio.Future[_Line] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting


class _Line(asyncio.BufferedProtocol):
    """What comes is counted, not kept: only the head of an answer is read."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._space = bytearray(ROOM)
        self._head = b""
        self._size = self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, ask: Ask) -> asyncio.Future[int]:
        """The length of the body that came."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._head, self._missing = b"", -1
        self._transport.write(ask)
        return self._answer

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        if self._missing >= 0:
            self._missing -= nbytes
        else:
            before = len(self._head)
            self._head += bytes(memoryview(self._space)[: min(nbytes, HEAD)])
            if (end := self._head.find(b"\r\n\r\n")) < 0:
                return
            if not self._head.startswith(b"HTTP/1.1 200 "):
                self._end(ValueError(self._head[:500].decode()))
                return
            self._size = int(self._head[:end].lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            self._missing = self._size - (before + nbytes - end - 4)
        if self._missing == 0:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _end(self, error: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(self._size)
        else:
            answer.set_exception(error)


def _request(method: str, path: str, body: bytes = b"") -> Ask:
    """As the agent asks: without compression."""
    sent = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n{sent}\r\n"
    return head.encode() + body
