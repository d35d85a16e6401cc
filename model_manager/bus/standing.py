"""What the hashes of many machines say, a pipeline at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.errors import BadRecord

HASHES: Final = 32
"""Whole inventories of one round trip: 300 models are 80 kB."""

POSITIONS: Final = 500
"""Positions of one round trip."""

_PLACE: Final = ("epoch", "seq", "digest", "ahead_epoch", "ahead_seq", "last_updated", "instance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A machine's public hash and lease. `position` is that of the inventory it holds, None when it holds none; `ahead` is
    that of the last event when the inventory does not contain it, and of the last one ever for a machine that was withdrawn.
    `leased`: epoch of the living process, None when none lives. `models` is JSON, and empty unless it was asked for.
    """

    position: tuple[int, int] | None
    ahead: tuple[int, int] | None
    digest: str
    at: str
    instance: str
    leased: int | None
    models: bytes = b""

    @property
    def withdrawn(self) -> bool:
        """A tombstone: what a machine was that said goodbye or died."""
        return self.position is None and self.ahead is not None and self.leased is None

    @property
    def empty(self) -> bool:
        """Redis knows nothing of it."""
        return self.position is None and self.ahead is None


async def stored(
    redis: Redis, keys: Keys, machines: Iterable[str], *, models: bool
) -> AsyncIterator[tuple[str, Stored | BadRecord]]:
    """What stands there of each, with or without its inventory, each machine as of one instant. Raises BusUnavailable."""
    fields = [*_PLACE, "models"] if models else list(_PLACE)
    rest = iter(machines)
    while chunk := list(islice(rest, HASHES if models else POSITIONS)):
        with translate():
            async with redis.pipeline(transaction=False) as pipe:
                for machine in chunk:
                    pipe.hmget(keys.models(machine), fields)
                    pipe.hget(keys.lease(machine), "epoch")
                answers: list[Any] = await pipe.execute(raise_on_error=False)
        for n, machine in enumerate(chunk):
            yield machine, _read(keys.models(machine), answers[2 * n], answers[2 * n + 1])


async def deadlines(redis: Redis, keys: Keys) -> dict[str, float]:
    """Machines that beat and were not withdrawn since → when the lease runs out or ran out, in seconds of the server's
    clock. Raises BusUnavailable."""
    with translate():
        if await redis.type(keys.alive) != b"zset":
            return {}
        found: Any = await redis.zrange(keys.alive, 0, -1, withscores=True)
    return {machine.decode("utf-8", "replace"): ms / 1000 for machine, ms in found}


async def stored_machines(redis: Redis, keys: Keys) -> set[str]:
    """Machines of which there is a hash, tombstones included. Looks at every key of the database. Raises BusUnavailable."""
    head, _, tail = keys.models("\0").partition("\0")
    found = set()
    with translate():
        async for key in redis.scan_iter(match=f"{literal(head)}*{literal(tail)}", count=1_000):
            found.add(key.decode("utf-8", "replace")[len(head) : -len(tail)])
    return found


def literal(text: str) -> str:
    """For a pattern of SCAN."""
    return "".join(f"\\{letter}" if letter in "\\*?[]" else letter for letter in text)


def _read(key: str, values: Any, lease: Any) -> Stored | BadRecord:
    """A lease that is garbage is none: the next beat replaces it."""
    if isinstance(values, Exception):
        return BadRecord(name=key, why="it is not a hash; the machine replaces it at its next heartbeat")
    epoch, seq, digest, ahead_epoch, ahead_seq, at, instance, *models = values
    whole = digest is not None and (not models or models[0] is not None)
    return Stored(
        position=_pair(epoch, seq) if whole else None,
        ahead=_pair(ahead_epoch, ahead_seq),
        digest=_text(digest),
        at=_text(at),
        instance=_text(instance),
        leased=None if isinstance(lease, Exception) else _number(lease),
        models=(models[0] or b"") if models else b"",
    )


def _pair(epoch: bytes | None, seq: bytes | None) -> tuple[int, int] | None:
    numbers: Sequence[int | None] = (_number(epoch), _number(seq))
    return (numbers[0], numbers[1]) if numbers[0] is not None and numbers[1] is not None else None


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) <= 15 else None


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value is not None else ""
