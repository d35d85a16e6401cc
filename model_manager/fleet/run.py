"""The aggregator. Every edge is built here. It keeps nothing on disk that matters: kill it at any time, run several at once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.bus.assignments import push
from model_manager.bus.connection import connect
from model_manager.bus.following import Follower
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.recalling import recalled
from model_manager.bus.tailing import history
from model_manager.decisions.folding import fold
from model_manager.errors import BadSetting
from model_manager.fleet.answers import Answers
from model_manager.fleet.catalogue import Catalogue
from model_manager.fleet.forecasts import Forecasts
from model_manager.fleet.history import History, Latest, Recall
from model_manager.fleet.needs import Demand, Describe
from model_manager.fleet.openapi import document
from model_manager.fleet.pushing import Push, Pushing
from model_manager.fleet.routes import Questions, Server
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View
from model_manager.fleet.watching import Watching
from model_manager.settings import Settings
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog

PATIENCE: Final = 2.5
"""Heartbeats after which a beat is overdue."""

LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What the program touches."""

    mirrors: Mirrors
    catalogue: Catalogue
    leases: Leases
    recall: Recall
    latest: Latest
    follow: Callable[[str], Follower]
    push: Push
    describe: Describe | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    questions: Questions
    server: Server
    watching: Watching


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[Program]:
    """Everything, unstarted. Raises BadSetting without a REDIS_URL."""
    if settings.redis_url is None:
        raise BadSetting(name="REDIS_URL", why="it is not set", fix="Name the Redis that the machines use.")
    async with AsyncExitStack() as stack:
        redis, keys = connect(settings.redis_url.get_secret_value()), Keys(settings.redis_prefix)
        stack.push_async_callback(redis.aclose)
        catalogue = Catalogue()
        edges = Edges(
            mirrors=Mirrors(redis, keys, fold, listener=catalogue.changed),
            catalogue=catalogue,
            leases=Leases(redis, keys),
            recall=lambda after, count: recalled(redis, keys, after=after, count=count),
            latest=lambda count: history(redis, keys, count=count),
            follow=lambda since: Follower(redis, keys, since),
            push=lambda machine_id, assignment, mode: push(redis, keys, machine_id, assignment, mode),
            describe=await stack.enter_async_context(_catalog(settings)),
        )
        yield _program(settings, edges)


def _program(settings: Settings, edges: Edges) -> Program:
    telling = Telling()
    view = View(edges.mirrors, edges.catalogue, PATIENCE * settings.heartbeat_seconds, time.monotonic)
    demand = Demand(edges.describe, settings.catalog_poll_seconds, time.monotonic)
    past = History(telling, edges.recall, edges.latest, lambda since: edges.follow(since).batches())
    questions = Questions(view, Answers(view), Forecasts(view, demand), past)
    return Program(
        questions=questions,
        server=Server(questions, Pushing(view, edges.push), telling, document()),
        watching=Watching(view, edges.leases, telling, edges.follow),
    )


@asynccontextmanager
async def _catalog(settings: Settings) -> AsyncIterator[Describe | None]:
    """How the catalog is asked; None without one. What it said is kept beside the port, which no other process here has."""
    if settings.catalog_url is None:
        yield None
        return
    ca_file = str(settings.ca_file) if settings.ca_file else None
    async with catalog_at(settings.catalog_url, settings.catalog_key, ca_file=ca_file) as catalog:
        yield CachedCatalog(catalog, settings.state / f"fleet-{settings.fleet_port}").describe


@asynccontextmanager
async def looking(settings: Settings, *, live: bool = False) -> AsyncIterator[Questions]:
    """The view without a server, for commands: read once, or kept up to date. Raises BusUnavailable, BadSetting."""
    async with built(settings) as program:
        cursor = await program.watching.once()
        if not live:
            yield program.questions
            return
        async with asyncio.TaskGroup() as group:
            task = group.create_task(program.watching.run_from(cursor), name="watching")
            yield program.questions
            task.cancel()


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve for the length of the block; the value is the base URL. It answers before Redis does.

    Raises BadSetting without a REDIS_URL, or when the address cannot be bound.
    """
    async with built(settings) as program:
        token = settings.fleet_token.get_secret_value() if settings.fleet_token else None
        application = program.server.application((settings.fleet_host, *settings.fleet_names), token)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, lingering_time=LINGER_SECONDS)
        await runner.setup()
        try:
            url = await _bound(runner, settings.fleet_host, settings.fleet_port)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(program.watching.run(), name="watching")
                yield url
                task.cancel()
        finally:
            await runner.cleanup()


async def run(settings: Settings, started: Callable[[str], Any] = lambda url: None) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. Raises what `serve` raises."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serve(settings) as url:
            logger.bind(url=url, writes=settings.fleet_token is not None).info("the fleet is served")
            started(url)
            await stop.wait()
            logger.info("stopping")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _bound(runner: web.AppRunner, host: str, port: int) -> str:
    """The base URL once it listens."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise BadSetting(
            name="MODEL_MANAGER_FLEET_PORT",
            why=f"{host}:{port} cannot be listened on ({error.strerror or error})",
            fix="Choose a free port, or 0 for any.",
        ) from error
    address = runner.addresses[0]
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{shown}:{address[1]}"
