"""Orders to running machines through `machine:{id}:orders`: sent, received at least once, and taken away when answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.errors import BadOrder
from model_manager.facts.identity import MachineId
from model_manager.facts.order import STALE, Order, fields_of, order_of

EVERY: Final = 5.0
"""Seconds of the longest wait at the stream."""

KEPT: Final = 1_000
"""Orders that wait for one machine; the oldest go first."""

PAGE: Final = 100
CHUNK: Final = 200
"""Machines of one round trip."""

LIFE: Final = int(1.5 * STALE)
"""Seconds after its last order that the key of a machine that takes none goes away."""


@dataclass(frozen=True, slots=True)
class Received:
    """`entry` is its id in the stream, `age` in seconds by the server's clock. What cannot be read comes as the reason."""

    entry: str
    age: float
    order: Order | BadOrder


async def ordered(
    redis: Redis, keys: Keys, machine_id: MachineId, *, every: float = EVERY
) -> AsyncIterator[tuple[Received, ...]]:
    """What the machine was asked for and has not settled, then what comes, without end; an empty tuple now and then.

    What is not settled is heard again by who begins anew, and whenever it is quiet for so long: ids of a server that was
    replaced may be lower than those before. Something else in the key's place is removed, and said. Raises BusUnavailable.
    """
    key, cursor = keys.orders(machine_id), "0-0"
    while True:
        with translate():
            kind: Any = await redis.type(key)
            if kind not in (b"none", b"stream"):
                await redis.delete(key)
                why = f"a {kind.decode()} stood where orders come in, and was removed"
                yield (Received("", 0.0, BadOrder(id=key, why=why)),)
                continue
            await redis.xtrim(key, maxlen=KEPT, approximate=False)
            answer: Any = await redis.xread({key: cursor}, count=PAGE, block=max(1, int(every * 1000)))
            seconds, micros = await redis.time()
        entries = [entry for _, page in answer for entry in page]
        cursor = entries[-1][0].decode() if entries else "0-0"
        yield tuple(_received(entry, seconds + micros / 1e6) for entry in entries)


async def settle(redis: Redis, keys: Keys, machine_id: MachineId, entries: Sequence[str]) -> None:
    """These were answered and do not come again. Raises BusUnavailable."""
    if entries:
        with translate():
            await redis.xdel(keys.orders(machine_id), *entries)


async def send(redis: Redis, keys: Keys, machines: Sequence[MachineId], order: Order) -> None:
    """Ask these machines. Sent again under the same id it is the same order: after BusUnavailable, repeat it."""
    rest = iter(dict.fromkeys(machines))
    while chunk := list(islice(rest, CHUNK)):
        await _sent(redis, [keys.orders(machine) for machine in chunk], order)


async def _sent(redis: Redis, keys: Sequence[str], order: Order) -> None:
    fields: dict[Any, Any] = dict(fields_of(order))
    with translate():
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.type(key)
            kinds = await pipe.execute()
        async with redis.pipeline(transaction=False) as pipe:
            for key, kind in zip(keys, kinds, strict=True):
                if kind not in (b"none", b"stream"):
                    pipe.delete(key)
                pipe.xadd(key, fields, maxlen=KEPT, approximate=False)
                pipe.pexpire(key, LIFE * 1000)
            await pipe.execute()


def _received(entry: Any, now: float) -> Received:
    identity, fields = entry[0].decode(), entry[1]
    age = now - int(identity.partition("-")[0]) / 1000
    try:
        return Received(identity, age, order_of(fields))
    except BadOrder as why:
        return Received(identity, age, why)
