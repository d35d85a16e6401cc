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
from model_manager.agent.describing import Describing
from model_manager.agent.entitlements import hosts, tokens
from model_manager.agent.greeting import hello
from model_manager.agent.grouping import Grouping
from model_manager.agent.hashing import Hashing
from model_manager.agent.importing import Importing
from model_manager.agent.inquiring import Inquiring
from model_manager.agent.noticing import Noticing
from model_manager.agent.roots import Roots, roots_of
from model_manager.agent.shelves import Shelves
from model_manager.agent.staffing import staffed
from model_manager.agent.tracking import Tracking
from model_manager.agent.verifying import Verifying
from model_manager.errors import BadSetting
from model_manager.facts.identity import MachineId
from model_manager.index.index import Index
from model_manager.library.lock import hold
from model_manager.library.readers import Readers
from model_manager.library.watching import Watcher
from model_manager.settings import Settings
from model_manager.sources.civitai_records import CivitaiRecords, civitai_records_at
from model_manager.sources.credentials import Credentials
from model_manager.sources.limits import Limits
from model_manager.sources.web import web
from model_manager.workbench.bench import Workbench

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
        records = await _records(settings, stack)
        grouping = Grouping(board, shelves, index)
        yield Workbench(
            board=board,
            shelves=shelves,
            index=index,
            noticing=Noticing(board, shelves, roots, Watcher(())),
            describing=Describing(board, shelves, index, grouping, Inquiring(board, shelves, index, records)),
            grouping=grouping,
            hashing=Hashing(board, shelves, index, readers),
            verifying=Verifying(board, shelves, readers),
            importing=Importing(board, shelves, index),
            tracking=Tracking(board, roots),
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


async def _records(settings: Settings, stack: AsyncExitStack) -> CivitaiRecords:
    ca_file = str(settings.ca_file) if settings.ca_file else None
    credentials = Credentials(tokens=tokens(settings), hosts=hosts(settings))
    net = await stack.enter_async_context(
        web(
            credentials,
            allow=settings.allow_hosts,
            ca_file=ca_file,
            proxy=settings.proxy,
            limits=Limits(settings.quotas),
        )
    )
    return await stack.enter_async_context(
        civitai_records_at(settings.civitai_api, settings.civitai_token, web=net, ca_file=ca_file, proxy=settings.proxy)
    )


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
