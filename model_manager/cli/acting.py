"""Writes to the fleet: through an aggregator over HTTP, or from here through Redis. Both answer the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from model_manager import settings as configuration
from model_manager.cli.aggregator import Ask, answered_here, everything, fetched, insisted, refused
from model_manager.errors import Refused

ORDERS: Final = "/orders"
ASSIGNMENTS: Final = "/assignments"

machines_argument = click.argument("machines", nargs=-1, metavar="MACHINE…")
all_option = click.option("--all", "everybody", is_flag=True, help="Every machine that is not away.")

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Act:
    """`post` sends a body to ORDERS or ASSIGNMENTS."""

    post: Post
    ask: Ask

    async def status(self, order: str) -> dict[str, Any]:
        """What became of an order, all machines in one page."""
        return await everything(self.ask, "order", {"order": order})


def group(machines: Iterable[str], everybody: bool) -> dict[str, Any]:
    """Who is meant. Raises Refused when that is nobody, or not clear."""
    named = list(machines)
    if bool(named) == everybody:
        raise Refused(what="Name one or more machines, or write --all, and not both.")
    return {"all": True} if everybody else {"machines": named}


@asynccontextmanager
async def acting(url: str | None) -> AsyncIterator[Act]:
    """How to write while the block runs. Over HTTP with MODEL_MANAGER_FLEET_TOKEN.

    Raises AggregatorAway, BusUnavailable, BadSettings; and Refused or Unavailable for what is answered so.
    """
    if url is not None:
        yield _over_http(insisted(url))
        return
    from loguru import logger

    from model_manager.facts import wire
    from model_manager.fleet.run import acting as acting_here
    from model_manager.serving.problems import Answer  # only who reads Redis pays for it

    logger.remove()  # what goes wrong is in the answer

    async with acting_here(configuration.load()) as program:
        writes = {ORDERS: program.ordering.many, ASSIGNMENTS: program.pushing.many}

        async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = wire.loads(wire.dumps(await writes[path](dict(body))))
            except Answer as refusal:
                raise refused(refusal.status, refusal.detail) from None
            return answer

        yield Act(post, answered_here(program.questions))


def _over_http(url: str) -> Act:
    token = configuration.load().fleet_token

    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(fetched, url, path, body, token.get_secret_value() if token else None)

    async def ask(name: str, given: Any) -> dict[str, Any]:
        rest = {key: value for key, value in given.items() if key != "order"}
        path = f"{ORDERS}/{quote(given['order'], safe='')}?{urlencode(rest)}"
        return await asyncio.to_thread(fetched, url, path)

    return Act(post, ask)
