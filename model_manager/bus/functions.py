"""The functions of `lua/`: one library, named after its content, so that two releases never fight over a name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from model_manager.bus.connection import translate

SHARED: Final = (
    "prelude",
    "routing/reading",
    "routing/ruling",
    "routing/bits",
    "routing/remembering",
    "routing/queues",
    "routing/machines",
    "routing/holding",
    "routing/adopting",
    "routing/signatures",
    "routing/profiles",
    "routing/indexing",
    "routing/bells",
    "routing/counting",
    "routing/jobs",
    "routing/dealing",
    "routing/mending",
    "routing/taking_in",
    "routing/telling",
    "routing/inventory",
)
"""What functions have in common; later ones may use earlier ones while the library is loaded."""

RULES: Final = (
    "service",
    "workflow",
    "tenant",
    "hardware",
    "capabilities",
    "models",
    "storage",
    "elsewhere",
    "not_worker",
)
"""Of matching, one a file in `lua/rules`, in the order in which reasons are given."""

FUNCTIONS: Final = (
    "publish",
    "snapshot",
    "stage",
    "adopt",
    "beat",
    "lacking",
    "withdraw",
    "offer",
    "submit",
    "claim",
    "next",
    "extend",
    "complete",
    "fail",
    "reap",
    "cancel",
    "retry",
    "job",
    "jobs",
    "explain",
    "machines_for",
    "take_in",
    "demand",
    "starving",
    "settle",
    "tune",
    "find_matching_job",
)

PARTS: Final = (*SHARED, *(f"rules/{name}" for name in RULES), *FUNCTIONS)

Argument = str | bytes


@cache
def source() -> str:
    """Every part in order: the body of the library. Only the prelude's names are seen by the others, for Lua allows 200 names
    in one block."""
    room = files("model_manager") / "lua"
    texts = [(room / f"{part}.lua").read_text(encoding="utf-8") for part in PARTS]
    return "\n".join((texts[0], *(f"do\n{text}end" for text in texts[1:])))


@cache
def version() -> str:
    """12 hex digits of the content. The library is `model_manager_<version>`, a function `mm_publish_<version>`."""
    return hashlib.sha256(source().encode()).hexdigest()[:12]


def library() -> str:
    """What FUNCTION LOAD takes."""
    return f"#!lua name=model_manager_{version()}\nlocal VERSION = '{version()}'\n{source()}"


class Functions:
    """Calls a function by its plain name, and loads the library where it is missing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def call(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[str, list[str]]:
        """The reply's first word, and the rest of it. Raises BusUnavailable."""
        with translate():
            try:
                reply = await self._once(name, keys, arguments)
            except ResponseError as error:
                if type(error) is not ResponseError or await self._loaded():
                    raise
                await self.load()
                reply = await self._once(name, keys, arguments)
        word, *rest = (part.decode("utf-8", "surrogateescape") for part in reply)
        return word, rest

    async def load(self) -> None:
        """Puts the library on the server; repeating it changes nothing. Raises BusUnavailable."""
        with translate():
            await self._redis.function_load(library(), replace=True)

    async def _loaded(self) -> bool:
        """A missing function has no error code of its own, so the list decides what the error meant."""
        return bool(await self._redis.function_list(f"model_manager_{version()}"))

    async def _once(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> list[bytes]:
        called = f"{name}_{version()}"
        values = [each.encode("utf-8", "surrogateescape") if isinstance(each, str) else each for each in arguments]
        reply: Any = await self._redis.fcall(called, len(keys), *keys, *values)
        return cast(list[bytes], reply)
