"""Withdrawing a machine: because it says goodbye, or because it is dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus import arguments
from model_manager.bus.connection import translate
from model_manager.bus.functions import Argument, Functions
from model_manager.bus.keys import Keys
from model_manager.errors import BusUnavailable

ROUNDS: Final = 20
"""Of NEEDS: each brings up to 1,000 names."""

NAMES_PER_CALL: Final = 200

BURIED_PER_CALL: Final = 100


class Withdrawing:
    """What is stored of a machine goes, its reverse index entries with it. Raises BusUnavailable."""

    def __init__(self, redis: Redis, keys: Keys, functions: Functions) -> None:
        self._redis = redis
        self._keys = keys
        self._functions = functions

    async def withdraw(
        self,
        machine: str,
        mode: str,
        *,
        installation: str = "",
        trim: Sequence[str] = ("0", "0"),
        event: Sequence[Argument] = (),
    ) -> tuple[str, list[str]]:
        """The answer of mm_withdraw. `trim` and `event` matter in the mode bye only."""
        k = self._keys
        own = self._own(machine)
        needed: dict[str, None] = {}
        rounds = 0
        while rounds < ROUNDS:
            names = dict.fromkeys([*await self._some_names(machine), *needed])
            keys = (*own, *map(k.index, names))
            values = (machine, mode, installation, *trim, *arguments.counted(names), *event)
            word, rest = await self._functions.call("mm_withdraw", keys, values)
            if word == "NEEDS":
                needed.update(dict.fromkeys(rest))
                rounds += 1
            elif word == "MORE":
                needed, rounds = {}, 0
            else:
                return word, rest
        raise BusUnavailable(why="the stored inventory changes faster than it can be withdrawn")

    async def forget(self, machine: str, names: Sequence[str]) -> bool:
        """Takes a machine of which nothing else is left out of the reverse index of these names. False: something is left."""
        keys = (*self._own(machine), *map(self._keys.index, names))
        values = (machine, "stray", "", "0", "0", *arguments.counted(names))
        word, _ = await self._functions.call("mm_withdraw", keys, values)
        return word == "OK"

    def _own(self, machine: str) -> tuple[str, ...]:
        k = self._keys
        kept = (k.models(machine), k.inventory(machine), k.names(machine), k.lease(machine))
        return (*kept, k.alive, k.progress(machine), k.scan_status(machine), k.events, k.routing)

    async def bury(self) -> tuple[str, ...]:
        """Withdraws machines whose lease ran out, at most 100 at a time; anybody may. Returns their ids."""
        with translate():
            seconds, _ = await self._redis.time()
            found: Any = await self._redis.zrangebyscore(self._keys.alive, "-inf", seconds * 1000, 0, BURIED_PER_CALL)
        buried = []
        for machine in _decoded(found):
            word, _ = await self.withdraw(machine, "dead")
            if word == "OK":
                buried.append(machine)
        return tuple(buried)

    async def _some_names(self, machine: str) -> list[str]:
        """All names if they are few, else some: a large inventory goes part by part."""
        key = self._keys.names(machine)
        with translate():
            if await self._redis.type(key) != b"hash":
                return []
            many: Any = await self._redis.hlen(key) > NAMES_PER_CALL
            found: Any = await (self._redis.hrandfield(key, NAMES_PER_CALL) if many else self._redis.hkeys(key))
        return _decoded(found)

    async def stored_names(self, machine: str) -> list[str]:
        """Names that the reverse index lists the machine under, as far as it says itself."""
        key = self._keys.names(machine)
        with translate():
            if await self._redis.type(key) != b"hash":
                return []
            found: Any = await self._redis.hkeys(key)
        return _decoded(found)


def _decoded(names: Iterable[Any]) -> list[str]:
    return [name.decode("utf-8", "surrogateescape") for name in names]
