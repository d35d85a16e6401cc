"""Build the workbench: the edges that a person's index needs, for the length of one command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.clock import Clock
from model_manager.agent.entitlements import hosts, tokens
from model_manager.agent.holdings.describing import Describing
from model_manager.agent.holdings.grouping import Grouping
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.importing import Importing
from model_manager.agent.holdings.inquiring import Inquiring
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots, insist_on_store, roots_of
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.holdings.staffing import staffed
from model_manager.agent.holdings.tracking import Tracking
from model_manager.agent.holdings.verifying import Verifying
from model_manager.agent.run import LOCK
from model_manager.agent.telling.greeting import hello
from model_manager.agent.transfers.borrowing import Borrowing
from model_manager.agent.transfers.downloading import Downloading
from model_manager.agent.transfers.fetching import Fetching
from model_manager.errors import BadSetting
from model_manager.facts.identity import MachineId
from model_manager.index.index import Index
from model_manager.library.contents.readers import Readers
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.lock import hold
from model_manager.library.space import Space
from model_manager.library.watching import Watcher
from model_manager.settings import Settings
from model_manager.sources.catalog import catalog_at
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.civitai_records import CivitaiRecords, civitai_records_at
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.searching import searches
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.web import Web, web
from model_manager.workbench.bench import Workbench
from model_manager.workbench.fetching import Bringing
from model_manager.workbench.searching import Searching

KEEP: Final = 5_000
"""Events that wait for an agent; more are replaced by one snapshot."""


@asynccontextmanager
async def workbench(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Workbench]:
    """The index in `settings.state`, for this process alone. Raises AlreadyRunning while an agent has it."""
    clock, state = clock or Clock(), settings.state
    _prepare(state)
    board = Board(settings=settings, clock=clock, started=clock.monotonic(), machine_id=settings.machine_id)
    async with AsyncExitStack() as stack:
        stack.enter_context(hold(str(state / "lock"), f"The state directory {state}"))
        index = await stack.enter_async_context(Index.open(state / "index.sqlite"))
        if index.rebuilt:
            logger.bind(reason=index.rebuilt).warning("the index was unreadable and is rebuilt from the disk")
        shelves = await _begun(board, index)
        readers = Readers(staffed(lambda: settings))
        stack.push_async_callback(asyncio.to_thread, readers.close)
        roots = Roots(roots_of(settings) if settings.own_store else (), index)
        await roots.load(clock.now(), keeping=True)
        net = await _net(settings, stack)
        records = await _records(settings, net, stack)
        grouping = Grouping(board, shelves, index)
        noticing = Noticing(board, shelves, roots, Watcher(()))
        hashing = Hashing(board, shelves, index, readers)
        yield Workbench(
            board=board,
            shelves=shelves,
            index=index,
            noticing=noticing,
            describing=Describing(board, shelves, index, grouping, Inquiring(board, shelves, index, records)),
            grouping=grouping,
            hashing=hashing,
            verifying=Verifying(board, shelves, readers),
            importing=Importing(board, shelves, index),
            tracking=Tracking(board, roots),
            roots=roots,
            bringing=lambda: _bringing(board, shelves, index, net, noticing, hashing, roots, stack),
        )
        rows, _ = await index.outbox_size()
        if rows > KEEP:
            await index.compact(at=clock.now())


def _prepare(state: Path) -> None:
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(
            name="MODEL_MANAGER_STATE_DIR",
            why=f"{state} cannot be made ({error.strerror})",
            fix="Name a writable directory.",
        ) from None


async def _net(settings: Settings, stack: AsyncExitStack) -> Web:
    credentials = Credentials(tokens=tokens(settings), hosts=hosts(settings))
    return await stack.enter_async_context(
        web(
            credentials,
            allow=settings.allow_hosts,
            ca_file=_ca_file(settings),
            proxy=settings.proxy,
            limits=Limits(settings.quotas),
        )
    )


def _ca_file(settings: Settings) -> str | None:
    return str(settings.ca_file) if settings.ca_file else None


async def _records(settings: Settings, net: Web, stack: AsyncExitStack) -> CivitaiRecords:
    return await stack.enter_async_context(
        civitai_records_at(
            settings.civitai_api, settings.civitai_token, web=net, ca_file=_ca_file(settings), proxy=settings.proxy
        )
    )


@asynccontextmanager
async def searching(settings: Settings) -> AsyncIterator[Searching]:
    """Where models that are not here may be found: both searches, and the catalog if one is named. It needs no index."""
    async with AsyncExitStack() as stack:
        hub, civitai = await stack.enter_async_context(
            searches(
                settings.hf_api,
                settings.civitai_api,
                hub_token=settings.hf_token,
                civitai_token=settings.civitai_token,
                ca_file=_ca_file(settings),
                proxy=settings.proxy,
            )
        )
        catalog = None
        if settings.catalog_url:
            catalog = await stack.enter_async_context(
                catalog_at(settings.catalog_url, settings.catalog_key, ca_file=_ca_file(settings))
            )
        yield Searching((hub, civitai), catalog)


async def _bringing(
    board: Board,
    shelves: Shelves,
    index: Index,
    net: Web,
    noticing: Noticing,
    hashing: Hashing,
    roots: Roots,
    stack: AsyncExitStack,
) -> Bringing:
    """What fetches into our own store. Raises BadSetting when there is none, AlreadyRunning when somebody else writes there."""
    settings = board.settings
    own = next((root for root in roots.all if root.own), None) or settings.own_root
    insist_on_store(own, "MODEL_MANAGER_STORE")
    stack.enter_context(hold(f"{own.path}/{LOCK}", f"The models directory {own.path}"))
    origins = (
        HuggingFaceOrigin(net, settings.hf_hosts),
        CivitaiOrigin(net, settings.civitai_hosts),
        HttpsOrigin(net),
    )
    downloading = Downloading(origins, own, Space(settings.disk_floor), board.clock, lambda: settings, Buffers())
    borrowing = Borrowing(board, shelves, str(settings.hub))
    fetching = Fetching(board, shelves, downloading, own, noticing.present, borrowing.look)
    return Bringing(board, shelves, index, fetching, hashing, noticing)


async def _begun(board: Board, index: Index) -> Shelves:
    """A history of its own, which an agent that comes later delivers: under the agent's name, unless another was set."""
    if index.machine_id and "machine_id" not in board.settings.model_fields_set:
        board.machine_id = index.machine_id
    epoch = await index.begin_epoch(board.clock.epoch_ms(), MachineId.parse(board.machine_id))
    board.epoch, board.instance, board.installation = epoch.epoch, epoch.instance, index.installation
    shelves = Shelves(index, board)
    await shelves.load()
    await shelves.tell(hello(shelves))
    return shelves
