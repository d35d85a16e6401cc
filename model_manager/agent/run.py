"""The agent, one per machine. Read this first: every edge is built here, and every loop is started here."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loguru import logger
from pydantic import SecretStr

from model_manager.agent.assignment.analyzing import Analyzing
from model_manager.agent.assignment.deriving import Deriving
from model_manager.agent.assignment.filing import Filing
from model_manager.agent.assignment.following import Following
from model_manager.agent.assignment.hearing import Hearing
from model_manager.agent.board import Board
from model_manager.agent.clock import Clock
from model_manager.agent.control.library import library_actions
from model_manager.agent.control.socket import Control, serving
from model_manager.agent.entitlements import hosts, tokens
from model_manager.agent.gate import READY, Gate
from model_manager.agent.hardware import hardware
from model_manager.agent.holdings.describing import Describing
from model_manager.agent.holdings.exposing import Exposing
from model_manager.agent.holdings.grouping import Grouping
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.importing import Importing
from model_manager.agent.holdings.inquiring import Inquiring
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots, insist_on_store, roots_of
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.holdings.staffing import staffed
from model_manager.agent.holdings.sweeping import Sweeping
from model_manager.agent.holdings.tracking import Tracking
from model_manager.agent.holdings.verifying import Verifying
from model_manager.agent.leaving import Leaving, until_orphaned
from model_manager.agent.orders.acting import actions, fetch_of, finding_of, hands_of, reload_of, wish_of
from model_manager.agent.orders.obeying import Obeying, Reply
from model_manager.agent.reloading import Reloading
from model_manager.agent.renewing import renewing
from model_manager.agent.telling.copying import Copy, Copying
from model_manager.agent.telling.greeting import hello
from model_manager.agent.telling.offering import Offering
from model_manager.agent.telling.publishing import Beating, Publishing
from model_manager.agent.threads import started
from model_manager.agent.tracing import bus_of, downloading_of, tracer_of, wanting_of
from model_manager.agent.transfers.borrowing import Borrowing
from model_manager.agent.transfers.downloading import Downloading
from model_manager.agent.transfers.fetching import Fetching
from model_manager.bus.assignments import Pushed, pushed
from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.bus.embedded import EmbeddedServer
from model_manager.bus.orders import Received, ordered, settle
from model_manager.bus.publishing import Bus
from model_manager.bus.replies import reply
from model_manager.bus.telemetry import copy
from model_manager.errors import BadRecord, BadSetting, BusUnavailable
from model_manager.facts.identity import MachineId, TokenName
from model_manager.index.index import Index
from model_manager.index.reading import Shop
from model_manager.library.contents.readers import Readers
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.lock import hold
from model_manager.library.space import Space
from model_manager.library.watching import Watcher
from model_manager.settings import Settings
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.civitai_records import CivitaiRecords, civitai_records_at
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.origin import Origin
from model_manager.sources.transport.guard import Guard
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.web import web
from model_manager.tracing.requests import asking

LEASE_BEATS: Final = 4
"""Heartbeats that a machine may miss before it counts as dead."""

FAREWELL: Final = 0.8
"""Seconds for the last words to Redis: PM2 kills after 1.6 s unless it is told otherwise."""

HEARD: Final = 1.0
"""Seconds for asking Redis which epoch it heard last; a start never waits longer for it."""

LOCK: Final = ".model_manager.lock"

Loop = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the caller provides: the catalog's address, hosts that may be private, how settings are read again."""

    catalog_url: str
    load: Callable[[], Settings]
    onlooker: Callable[[Board, Shelves], Awaitable[None]] | None = None
    clock: Clock | None = None


async def run(settings: Settings, surroundings: Surroundings) -> None:
    """Run until SIGINT or SIGTERM. Raises BadSetting and AlreadyRunning before anything is touched."""
    state = settings.state
    _prepare(settings, state)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(started(settings.concurrency + 12, "work"))
    leaving = Leaving(state / READY)
    with leaving.listening(), hold(str(state / "lock"), f"The state directory {state}"), hold(
        f"{settings.own_root.path}/{LOCK}", f"The models directory {settings.own_root.path}"
    ):  # fmt: skip
        await renewing(lambda now: _live(now, surroundings, state, leaving), settings, surroundings.load, leaving.asked)


async def _live(settings: Settings, surroundings: Surroundings, state: Path, leaving: Leaving) -> None:
    async with AsyncExitStack() as stack:
        agent = None
        async with leaving.beginning():
            agent = await _build(settings, surroundings, state, stack)
        if agent is not None:
            await agent.live(leaving)


def _prepare(settings: Settings, state: Path) -> None:
    insist_on_store(settings.own_root, "MODEL_MANAGER_STORE")
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not os.access(state, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise BadSetting(
            name="MODEL_MANAGER_STATE_DIR",
            why=f"{state} cannot be made or written to ({error.strerror})",
            fix="Name a writable directory.",
        ) from None


@dataclass
class Agent:
    """Everything that lives while the agent does."""

    board: Board
    shelves: Shelves
    gate: Gate
    publishing: Publishing
    loops: dict[str, Loop]
    control: Control
    socket: Path
    onlooker: Callable[[Board, Shelves], Awaitable[None]] | None

    async def live(self, leaving: Leaving) -> None:
        """Start every loop, wait for a signal, and leave in order: readiness first, then the work, then the fleet."""
        settings = self.board.settings
        tcp = (settings.http_host, settings.http_port) if settings.http_port else None
        leaving.reload = self.board.bells.reloading.ring
        async with serving(self.control, self.socket, tcp), self._closing():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop(), name=name) for name, loop in self.loops.items()]
                tasks.append(group.create_task(until_orphaned(leaving.ask), name="parent"))
                if self.onlooker:
                    tasks.append(group.create_task(self._watch(), name="onlooker"))
                await leaving.asked.wait()
                self.board.stopping = True
                self.gate.close()
                logger.info("stopping")
                for task in tasks:
                    task.cancel()
            await self.publishing.farewell(FAREWELL)

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        """Whatever ends the loops closes the gate."""
        try:
            yield
        finally:
            self.gate.close()

    async def _watch(self) -> None:
        if self.onlooker:
            await self.onlooker(self.board, self.shelves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What the loops touch. `tokens` is shared with the credentials, so that a reload rotates them."""

    index: Index
    roots: Roots
    space: Space
    buffers: Buffers
    readers: Readers
    records: CivitaiRecords
    limits: Limits
    origins: tuple[Origin, ...]
    tokens: dict[TokenName, SecretStr]
    catalog: CachedCatalog
    bus: Bus
    claims: Claims
    pushes: Callable[[], AsyncIterator[Pushed | BadRecord | None]]
    orders: Callable[[], AsyncIterator[tuple[Received, ...]]]
    settle: Callable[[Sequence[str]], Awaitable[None]]
    reply: Reply
    copy: Copy
    embedded: EmbeddedServer | None
    shop: Callable[[], Shop]
    judge: Callable[[str], object]

    def adopt(self, new: Settings) -> None:
        self.tokens.clear()
        self.tokens.update(tokens(new))
        self.space.floor = new.disk_floor
        self.limits.quotas = new.quotas


async def _build(settings: Settings, surroundings: Surroundings, state: Path, stack: AsyncExitStack) -> Agent:
    clock = surroundings.clock or Clock()
    board = Board(settings=settings, clock=clock, started=clock.monotonic(), machine_id=settings.machine_id)
    board.tracer = tracer_of(settings, stack)
    index = await stack.enter_async_context(Index.open(state / "index.sqlite", waiting=_waiting_for_index(board)))
    if index.rebuilt:
        logger.bind(reason=index.rebuilt).warning("the index was unreadable and is rebuilt from the disk")
    edges = await _edges(board, surroundings, state, index, stack)
    await edges.roots.load(clock.now())
    shelves = await _begin(board, MachineId.parse(settings.machine_id), edges, clock)
    logger.bind(machine=board.machine_id, epoch=board.epoch, store=edges.roots.own.path, state=str(state)).info(
        "model_manager starts"
    )
    return _agent(board, shelves, edges, surroundings, state)


async def _edges(board: Board, surroundings: Surroundings, state: Path, index: Index, stack: AsyncExitStack) -> Edges:
    settings, clock = board.settings, board.clock
    known = tokens(settings)
    ca_file = str(settings.ca_file) if settings.ca_file else None
    limits = Limits(settings.quotas)
    credentials = Credentials(tokens=known, hosts=hosts(settings))
    net = await stack.enter_async_context(
        web(credentials, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy, limits=limits)
    )
    catalog = await stack.enter_async_context(
        catalog_at(surroundings.catalog_url, settings.catalog_key, ca_file=ca_file, traces=asking(board.tracer))
    )
    records = await stack.enter_async_context(
        civitai_records_at(settings.civitai_api, settings.civitai_token, web=net, ca_file=ca_file, proxy=settings.proxy)
    )
    embedded = None if settings.redis_url else EmbeddedServer(state / "redis")
    url = await stack.enter_async_context(embedded) if embedded else _plain(settings.redis_url)
    redis = connect(url, prefix=settings.redis_prefix, trust=settings.redis_trust)
    stack.push_async_callback(redis.aclose)
    machine, lease = MachineId.parse(settings.machine_id), settings.heartbeat_seconds * LEASE_BEATS
    readers = Readers(staffed(lambda: board.settings))
    stack.push_async_callback(asyncio.to_thread, readers.close)
    stream = settings.stream_length, lease, settings.stream_age
    bus = bus_of(board.tracer)(redis, machine, index.installation, settings.redis_prefix, *stream)
    return Edges(
        index=index,
        roots=Roots(roots_of(settings), index),
        space=Space(settings.disk_floor),
        buffers=Buffers(),
        readers=readers,
        records=records,
        limits=limits,
        origins=(
            HuggingFaceOrigin(net, settings.hf_hosts),
            CivitaiOrigin(net, settings.civitai_hosts),
            HttpsOrigin(net),
        ),
        tokens=known,
        catalog=CachedCatalog(catalog, state / "catalog-cache", clock.now),
        bus=bus,
        claims=Claims(redis, settings.redis_prefix, patience=0),
        pushes=lambda: pushed(redis, bus.keys, machine),
        orders=lambda: ordered(redis, bus.keys, machine),
        settle=lambda entries: settle(redis, bus.keys, machine, entries),
        reply=lambda order, body: reply(redis, bus.keys, machine, order, body),
        copy=lambda told: copy(redis, bus.keys, told),
        embedded=embedded,
        shop=lambda: Shop.open(state / "index.sqlite"),
        judge=Guard(settings.allow_hosts).check,
    )


def _downloading(board: Board, edges: Edges) -> Downloading:
    space, buffers = edges.space, edges.buffers
    make = downloading_of(board.tracer)
    return make(edges.origins, edges.roots.own, space, board.clock, lambda: board.settings, buffers)


def _agent(board: Board, shelves: Shelves, edges: Edges, surroundings: Surroundings, state: Path) -> Agent:
    """Every loop, and the doors to it from outside."""
    roots = edges.roots
    roots.leave_out_absent({held.root for held in shelves.held.values()})
    wanting = wanting_of(board.tracer)(board, shelves, edges.catalog, state, Deriving(board, edges.shop))
    paths = tuple(root.path for root in roots.all)
    noticing = Noticing(board, shelves, roots, Watcher(paths))
    borrowing = Borrowing(board, shelves, str(board.settings.hub))
    fetching = Fetching(board, shelves, _downloading(board, edges), roots.own, noticing.present, borrowing.look)
    gate = Gate(board, shelves, state)
    publishing = Publishing(board, shelves, edges.index, edges.bus)
    exposing = Exposing(board, Path(roots.own.path), state)
    hashing = Hashing(board, shelves, edges.index, edges.readers)
    verifying = Verifying(board, shelves, edges.readers)
    inquiring = Inquiring(board, shelves, edges.index, edges.records)
    describing = Describing(board, shelves, edges.index, Grouping(board, shelves, edges.index), inquiring)

    def adopted(new: Settings) -> None:
        edges.adopt(new)
        fetching.nudge()

    reloading = Reloading(board, wanting, surroundings.load, adopted)
    reload = reload_of(board, reloading, fetching)
    wish = wish_of(edges.judge, wanting, fetching)
    finding = finding_of(board, shelves, edges.shop, roots.own, wish)
    hands = hands_of(board, hashing, verifying, reload, finding, noticing.stop)
    obeying = Obeying(board, shelves, hands, edges.orders, edges.settle, edges.reply)
    loops: dict[str, Loop] = {
        **_alone(board, shelves, edges),
        "wanting": wanting.run,
        "noticing": noticing.run,
        "hashing": hashing.run,
        "describing": describing.run,
        "verifying": verifying.run,
        "fetching": fetching.run,
        "gate": gate.run,
        "publishing": publishing.run,
        "beating": Beating(board, shelves, edges.bus, publishing, paths).run,
        "following": Following(board, wanting, edges.pushes).run,
        "hearing": Hearing(board, wanting, edges.catalog.listen).run,
        "offering": Offering(board, wanting, edges.claims, hardware, publishing.first_beat).run,
        "reloading": reloading.run,
        "obeying": obeying.run,
        "exposing": exposing.run,
    }
    library = library_actions(
        hashing, verifying, Tracking(board, roots), Importing(board, shelves, edges.index), board.bells.noticing.ring
    )
    doing = actions(reload, exposing) | library | {"fetch": fetch_of(wanting, fetching)}
    return Agent(
        board=board,
        shelves=shelves,
        gate=gate,
        publishing=publishing,
        loops=loops,
        control=Control(board, shelves, doing, Analyzing(board, edges.shop, edges.catalog.describe)),
        socket=state / "control.sock",
        onlooker=surroundings.onlooker,
    )


def _alone(board: Board, shelves: Shelves, edges: Edges) -> dict[str, Loop]:
    """Loops that no other here speaks with; some of them only settings ask for."""
    loops: dict[str, Loop] = {
        "filing": Filing(board, shelves).run,
        "sweeping": Sweeping(board, edges.roots.own).run,
    }
    if board.settings.telemetry:
        loops["copying"] = Copying(board, shelves, edges.copy).run
    if embedded := edges.embedded:
        loops["embedded"] = lambda: embedded.keep(lambda why: logger.bind(reason=why).warning("starting Valkey again"))
    return loops


def _waiting_for_index(board: Board) -> Callable[[str], None]:
    def waiting(why: str) -> None:
        if why and why != board.index_error:
            logger.bind(reason=why).error("the index cannot be used; we wait, and what is known stays")
        board.index_error = why

    return waiting


async def _begin(board: Board, machine: MachineId, edges: Edges, clock: Clock) -> Shelves:
    """A new epoch, whose first event carries the inventory's digest: who knows it already needs no snapshot."""
    index, heard = edges.index, 0
    with suppress(BusUnavailable, TimeoutError):
        async with asyncio.timeout(HEARD):
            heard = await edges.bus.latest_epoch()
    epoch = await index.begin_epoch(max(clock.epoch_ms(), heard + 1), machine)
    board.epoch, board.instance, board.installation = epoch.epoch, epoch.instance, index.installation
    shelves = Shelves(index, board)
    await shelves.load()
    await shelves.tell(hello(shelves))
    return shelves


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
