"""The aggregator. Every edge is built here. It keeps nothing on disk that matters: kill it at any time, run several at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from loguru import logger

from model_manager.bus.assignments import push
from model_manager.bus.connection import connect
from model_manager.bus.counting import ran, routed
from model_manager.bus.following import Follower
from model_manager.bus.jobs import Jobs
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.orders import send
from model_manager.bus.recalling import recalled, recalled_before
from model_manager.bus.replies import put
from model_manager.bus.shortages import shortages
from model_manager.bus.starving import Starving
from model_manager.bus.tailing import history
from model_manager.decisions.folding import fold
from model_manager.errors import BadSetting, StrangeAnswer
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet.answers import Answers
from model_manager.fleet.collecting import seldom
from model_manager.fleet.collections import Sets
from model_manager.fleet.dropping import Dropping
from model_manager.fleet.forecasts import Forecasts
from model_manager.fleet.history import Earlier, History, Latest, Recall
from model_manager.fleet.jobs import routes as job_routes
from model_manager.fleet.jobs.desk import Desk, Lacks
from model_manager.fleet.jobs.submitting import Words
from model_manager.fleet.jobs.tallying import Tallying
from model_manager.fleet.matrix import routes as matrix_routes
from model_manager.fleet.matrix.board import Board
from model_manager.fleet.matrix.pivoting import Pivots
from model_manager.fleet.models.catalogue import Catalogue
from model_manager.fleet.models.checking import Publisher, Publishing
from model_manager.fleet.models.doctoring import Opened
from model_manager.fleet.models.enquiring import Put
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.library import Library, Needed
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.models.usage import Ran
from model_manager.fleet.needs import Demand, Describe
from model_manager.fleet.notices import readings
from model_manager.fleet.notices import routes as notice_routes
from model_manager.fleet.notices.alerting import Alerting, Outside
from model_manager.fleet.notices.bulletin import Bulletin
from model_manager.fleet.notices.delivering import Delivering
from model_manager.fleet.notices.ledger import Ledger
from model_manager.fleet.notices.rulebook import Rulebook
from model_manager.fleet.openapi import document
from model_manager.fleet.ordering import ANSWERED, Ordering, Send
from model_manager.fleet.pushing import Push, Pushing
from model_manager.fleet.remembering import Remembering
from model_manager.fleet.routes import Questions, Server
from model_manager.fleet.stablequeue import job_routes as stablequeue_job_routes
from model_manager.fleet.stablequeue.jobs import StableQueueJobs
from model_manager.fleet.stablequeue.models import Records
from model_manager.fleet.store import Store
from model_manager.fleet.telling import Numbered, Telling
from model_manager.fleet.tracing import tracer_of
from model_manager.fleet.view import View
from model_manager.fleet.watching import Watching
from model_manager.serving.listening import listening, until_signalled
from model_manager.settings import Settings
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog
from model_manager.sources.catalog_doctor import CatalogDoctor, Told, catalog_doctor_at
from model_manager.sources.civitai_records import civitai_records_at
from model_manager.sources.civitai_releases import civitai_releases_at
from model_manager.sources.credentials import Credentials
from model_manager.sources.hooks import Hooks, hooks
from model_manager.sources.transport.guard import Guard
from model_manager.sources.transport.web import web
from model_manager.tracing.requests import asking, traced
from model_manager.tracing.spans import Tracer

PATIENCE: Final = 2.5
"""Heartbeats after which a beat is overdue."""

PATIENT: Final = 2.0
"""Seconds for which a question about jobs is asked again while Redis is away: somebody waits for the answer."""

BANDWIDTH: Final = 100e6
"""Bytes per second at which an answer says how long a download would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What the program touches."""

    mirrors: Mirrors
    catalogue: Catalogue
    leases: Leases
    recall: Recall
    latest: Latest
    earlier: Earlier
    follow: Callable[[str], Follower]
    push: Push
    send: Send
    put: Put
    describe: Describe | None
    jobs: Jobs
    lacks: Lacks
    store: Store
    records: Records
    releases: Releases
    publishing: Publishing
    doctor: Opened | None
    ledger: Ledger
    hooks: Hooks
    routed: Callable[[], Awaitable[Routed]]
    ran: Callable[[Iterable[str]], Awaitable[Mapping[str, Ran]]]
    starving: Callable[[], Awaitable[Starved | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    questions: Questions
    pushing: Pushing
    ordering: Ordering
    server: Server
    watching: Watching
    telling: tuple[Alerting, Delivering, Bulletin]
    library: Library


@asynccontextmanager
async def built(settings: Settings, tracer: Tracer | None = None) -> AsyncIterator[Program]:
    """Everything, unstarted. Raises BadSetting without a REDIS_URL."""
    if settings.redis_url is None:
        raise BadSetting(name="REDIS_URL", why="it is not set", fix="Name the Redis that the machines use.")
    async with AsyncExitStack() as stack:
        keys = Keys(settings.redis_prefix)
        redis = connect(settings.redis_url.get_secret_value(), prefix=keys.prefix, trust=settings.redis_trust)
        stack.push_async_callback(redis.aclose)
        catalogue = Catalogue()
        store = Store(settings.state / "fleet.sqlite")
        stack.push_async_callback(store.close)
        releases = Releases(settings.state / "releases.sqlite", time.time)
        stack.push_async_callback(releases.close)
        ledger = Ledger(settings.state / "notices.sqlite", time.time)
        stack.push_async_callback(ledger.close)
        edges = Edges(
            mirrors=Mirrors(redis, keys, fold, touched=catalogue.touched),
            catalogue=catalogue,
            leases=Leases(redis, keys),
            recall=lambda after, count: recalled(redis, keys, after=after, count=count),
            latest=lambda count: history(redis, keys, count=count),
            earlier=lambda before, count: recalled_before(redis, keys, before=before, count=count),
            follow=lambda since: Follower(redis, keys, since),
            push=lambda machine_id, assignment, mode: push(redis, keys, machine_id, assignment, mode),
            send=lambda machines, order: send(redis, keys, machines, order),
            put=lambda machine_id, order, seconds: put(redis, keys, machine_id, order, seconds),
            describe=await stack.enter_async_context(_catalog(settings, tracer)),
            jobs=(jobs := Jobs(redis, keys.prefix, patience=PATIENT)),
            lacks=lambda explained: shortages(redis, jobs, explained, bandwidth=BANDWIDTH),
            store=store,
            records=lambda sha256: _record(settings, sha256),
            releases=releases,
            publishing=lambda: _publishing(settings),
            doctor=_doctor(settings),
            ledger=ledger,
            hooks=await stack.enter_async_context(_hooks(settings)),
            routed=lambda: routed(redis, keys),
            ran=lambda machines: ran(redis, keys, machines),
            starving=Starving(redis, keys).look,
        )
        yield _program(settings, edges)


def _program(settings: Settings, edges: Edges) -> Program:
    view = View(edges.mirrors, edges.catalogue, PATIENCE * settings.heartbeat_seconds, time.monotonic)
    ordering = Ordering(view, edges.send, time.monotonic)
    demand = Demand(edges.describe, settings.catalog_poll_seconds, time.monotonic)
    finding = Finding(view)
    needed = _needed(settings, edges, demand)
    library = Library(view, finding, ordering, needed)

    def heard(told: list[Numbered], kinds: AbstractSet[str]) -> None:
        if ANSWERED in kinds:
            ordering.hear(told)
        if library.scans.concerns(kinds):
            library.scans.hear(told)

    telling = Telling(heard)
    past = History(telling, edges.recall, edges.earlier, lambda since: edges.follow(since).batches())
    questions = Questions(
        view,
        Answers(view, library.listing.chosen, library.registry.lore.added),
        Forecasts(view, demand),
        past,
        ordering,
        Sets(view, demand),
    )
    pushing = Pushing(view, edges.push)
    board = Board(
        view,
        finding,
        Pivots(view, demand, lambda: library.traits.version),
        library.traits.base,
        library.refresh,
        partial(library.listing.chosen, best=True),
        library.told,
    )
    desk = Desk(edges.jobs, edges.lacks, Words(library.registry.lookup), library.registry.called)
    more = job_routes.handlers(desk) | stablequeue_job_routes.handlers(StableQueueJobs(desk, finding))
    remembering = Remembering(lambda: (view.generation, library.state))
    more |= matrix_routes.handlers(board, Dropping(view, edges.describe), remembering)
    more |= library.handlers(telling)
    notices = _notices(settings, view, edges)
    _, delivering, bulletin = notices
    more |= notice_routes.handlers(Rulebook(edges.ledger, delivering, edges.hooks.check), bulletin)
    return Program(
        questions=questions,
        pushing=pushing,
        ordering=ordering,
        server=Server(questions, pushing, ordering, telling, document(), more, bulletin.close, remembering),
        watching=Watching(
            view, edges.leases, telling, edges.follow, Tallying(view, edges.routed, edges.ran, edges.starving).look
        ),
        telling=notices,
        library=library,
    )


def _needed(settings: Settings, edges: Edges, demand: Demand) -> Needed:
    return Needed(
        store=edges.store,
        records=edges.records,
        releases=edges.releases,
        publishing=edges.publishing,
        hours=settings.fleet_updates_hours,
        describe=edges.describe,
        check=Guard(settings.allow_hosts).check,
        doctor=edges.doctor,
        catalog=settings.catalog_url or "",
        put=edges.put,
        demand=demand,
        most=settings.fleet_import,
    )


def _notices(settings: Settings, view: View, edges: Edges) -> tuple[Alerting, Delivering, Bulletin]:
    bulletin = Bulletin(edges.ledger, settings.notify_days)
    outside = Outside(recall=edges.recall, latest=edges.latest, waits=lambda: readings.waits(edges.jobs))
    delivering = Delivering(edges.ledger, edges.hooks.send, lambda: alerting.leads)

    def told() -> None:
        delivering.ring()
        bulletin.ring()

    alerting = Alerting(view, edges.ledger, outside, told)
    return alerting, delivering, bulletin


def _hooks(settings: Settings) -> AbstractAsyncContextManager[Hooks]:
    ca_file = str(settings.ca_file) if settings.ca_file else None
    return hooks(allow=settings.notify_hosts, ca_file=ca_file, proxy=settings.proxy)


@asynccontextmanager
async def _catalog(settings: Settings, tracer: Tracer | None) -> AsyncIterator[Describe | None]:
    """How the catalog is asked; None without one. What it said is kept beside the port, which no other process here has."""
    if settings.catalog_url is None:
        yield None
        return
    ca_file = str(settings.ca_file) if settings.ca_file else None
    traces = asking(tracer)
    async with catalog_at(settings.catalog_url, settings.catalog_key, ca_file=ca_file, traces=traces) as catalog:
        yield CachedCatalog(catalog, settings.state / f"fleet-{settings.fleet_port}").describe


def _publishing(settings: Settings) -> AbstractAsyncContextManager[Publisher]:
    """CivitAI's list of versions, at an address of the operator's choice."""
    ca_file = str(settings.ca_file) if settings.ca_file else None
    return civitai_releases_at(settings.civitai_api, settings.civitai_token, ca_file=ca_file, proxy=settings.proxy)


def _doctor(settings: Settings) -> Opened | None:
    """How the catalog's doctor is asked; None without a catalog."""
    if (url := settings.catalog_url) is None:
        return None
    ca_file = str(settings.ca_file) if settings.ca_file else None

    async def opened(do: Callable[[CatalogDoctor], Awaitable[Told]]) -> Told:
        async with catalog_doctor_at(url, settings.catalog_key, ca_file=ca_file) as doctor:
            return await do(doctor)

    return opened


async def _record(settings: Settings, sha256: str) -> Mapping[str, Any] | None:
    """What CivitAI says of these bytes. It is asked because somebody wants to know it now, whatever the settings say of
    questions that nobody put. Raises what `CivitaiRecords.records` raises."""
    ca_file = str(settings.ca_file) if settings.ca_file else None
    credentials = Credentials(tokens={}, hosts={})
    async with (
        web(credentials, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy) as net,
        civitai_records_at(
            settings.civitai_api, settings.civitai_token, web=net, ca_file=ca_file, proxy=settings.proxy
        ) as civitai,
    ):
        async for found in civitai.records([sha256]):
            if sha256 in found.doubtful:
                raise StrangeAnswer(host=civitai.host, name=sha256, why=found.doubtful[sha256])
            return found.found.get(sha256)
    return None


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
async def acting(settings: Settings) -> AsyncIterator[Program]:
    """As `looking`, kept up to date, for commands that give orders and hear what becomes of them."""
    async with built(settings) as program:
        cursor = await program.watching.once()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(program.watching.run_from(cursor), name="watching")
            yield program
            task.cancel()


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve for the length of the block; the value is the base URL. It answers before Redis does.

    Raises BadSetting without a REDIS_URL, or when the address cannot be bound.
    """
    tracer = tracer_of(settings)
    async with built(settings, tracer) as program:
        token = settings.fleet_token.get_secret_value() if settings.fleet_token else None
        application = traced(program.server.application((settings.fleet_host, *settings.fleet_names), token), tracer)
        where = settings.fleet_host, settings.fleet_port
        async with listening(application, *where, "MODEL_MANAGER_FLEET_PORT") as url, asyncio.TaskGroup() as group:
            tasks = [group.create_task(program.watching.run(), name="watching")]
            tasks.append(group.create_task(program.library.gathering.run(), name="gathering"))
            tasks.append(group.create_task(program.library.checking.run(), name="checking"))
            tasks.append(group.create_task(program.library.keep_up(), name="keeping up"))
            tasks += [group.create_task(each.run(), name=type(each).__name__) for each in program.telling]
            yield url
            for task in tasks:
                task.cancel()


async def run(settings: Settings, started: Callable[[str], Any] = lambda url: None) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. Raises what `serve` raises."""
    seldom()
    with until_signalled() as stop:
        async with serve(settings) as url:
            logger.bind(url=url, writes=settings.fleet_token is not None).info("the fleet is served")
            started(url)
            await stop.wait()
            logger.info("stopping")
