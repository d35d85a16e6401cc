"""A board, its shelves on a real index, a clock held by hand, and the facts that the loops are shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model_manager.agent.board import Board
from model_manager.agent.clock import Clock
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.transfers.downloading import Downloading
from model_manager.decisions.digesting import EVERYTHING
from model_manager.facts.disk import Evidence, Held, Root
from model_manager.facts.event import Event
from model_manager.facts.identity import MachineId, Pin
from model_manager.facts.model import Assignment, Model, Problem, Requirements, Size, Source, Wanted, WorkflowNeed
from model_manager.facts.shelf import ShelfPath
from model_manager.index.index import Index
from model_manager.library.contents.hashing import digest_file
from model_manager.library.contents.readers import Readers
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.markers import mark
from model_manager.library.scanning import fingerprint_of
from model_manager.library.space import Space
from model_manager.settings import Settings, load
from model_manager.sources.memory import MemoryOrigin
from tests.stories.machine import sha256

AT = "2026-01-02T03:04:05.000Z"
DEADLINE = 20.0


class HeldClock(Clock):
    """It stands still until somebody moves `seconds`."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def epoch_ms(self) -> int:
        return 1_700_000_000_000

    def now(self) -> str:
        return AT

    def later(self, seconds: float) -> str:
        return f"in {seconds:.1f} s"

    def chance(self) -> float:
        return 0.5


def settings(directory: Path, **more: str) -> Settings:
    return load(
        {
            "MODEL_MANAGER_STATE_DIR": str(directory / "state"),
            "MODEL_MANAGER_STORE": str(directory / "models"),
            "MODEL_MANAGER_DISK_FLOOR": "0",
            "MODEL_MANAGER_SETTLE_SECONDS": "0.1",
            "MACHINE_ID": "m1",
            **more,
        }
    )


@dataclass
class Stage:
    board: Board
    shelves: Shelves
    index: Index
    clock: HeldClock
    store: Path
    state: Path
    readers: Readers

    @property
    def root(self) -> Root:
        return Root(path=str(self.store), own=True)

    def configure(self, **environ: str) -> None:
        self.board.settings = settings(self.store.parent, **environ)

    def put(self, place: str, content: bytes = b"weights") -> Path:
        file = self.store / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def held(self, place: str, *, evidence: Evidence | None = "pin", hashed: bool = True) -> Held:
        """What lies at a place now, as the index would know it."""
        file = str(self.store / place)
        folder, _, name = place.partition("/")
        found = fingerprint_of(file)
        assert found is not None
        return Held(
            file=file,
            root=str(self.store),
            shelf=ShelfPath(folder=folder, name=name),
            fingerprint=found,
            digests=digest_file(file, EVERYTHING)[1] if hashed else None,
            evidence=evidence,
            verified_at=AT if evidence else "",
        )

    async def holds(self, place: str, content: bytes = b"weights", **more: Any) -> Held:
        """A file on disk and in the index."""
        self.put(place, content)
        held = self.held(place, **more)
        await self.shelves.enter(held)
        return held

    async def told(self, *kinds: type[Event]) -> list[Any]:
        """Every event so far, or those of some kinds."""
        events = [envelope.event for envelope in await self.index.outbox(10_000)]
        return [event for event in events if not kinds or isinstance(event, kinds)]

    def downloading(self, *origins: MemoryOrigin, floor: int = 0) -> Downloading:
        return Downloading(origins, self.root, Space(floor), self.clock, lambda: self.board.settings, Buffers())


@asynccontextmanager
async def stage(directory: Path, **environ: str) -> AsyncIterator[Stage]:
    """A stage with a store and a state directory; the epoch has begun, nothing was told yet."""
    clock = HeldClock()
    store, state = directory / "models", directory / "state"
    for each in (store, state):
        each.mkdir(exist_ok=True)
    mark(str(store))
    async with Index.open(state / "index.sqlite") as index:
        epoch = await index.begin_epoch(clock.epoch_ms(), MachineId("m1"))
        board = Board(
            settings=settings(directory, **environ),
            clock=clock,
            started=clock.monotonic(),
            machine_id="m1",
            epoch=epoch.epoch,
            instance=epoch.instance,
            installation=index.installation,
        )
        readers = Readers(lambda device: 1)
        try:
            yield Stage(board, Shelves(index, board), index, clock, store, state, readers)
        finally:
            await asyncio.to_thread(readers.close)


@asynccontextmanager
async def running(*loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Loops of the agent for the length of the block."""

    async def _run(loop: Callable[[], Awaitable[None]]) -> None:
        await loop()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run(loop)) for loop in loops]
        yield
        for task in tasks:
            task.cancel()


async def until(condition: Callable[[], Any]) -> Any:
    """The first true value of a condition, which may be a coroutine function."""
    deadline = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


async def turns(count: int = 20) -> None:
    """Let the loops do what they would do: for saying that something does not happen."""
    for _ in range(count):
        await asyncio.sleep(0.005)


def model(place: str, data: bytes | None = None, *, url: str = "", **more: Any) -> Model:
    """A model as the catalog tells of it; with `data` its hash and size are pinned."""
    folder, _, name = place.partition("/")
    address: dict[str, Any] = {"sources": (Source(url=url or f"https://origin.test/{name}"),)}
    pinned = {} if data is None else {"pin": Pin.parse(sha256(data)), "size": Size(bytes=len(data), exact=True)}
    return Model(name=name, path=ShelfPath(folder=folder, name=name), **{**address, **pinned, **more})


def wanted(model: Model, *, required: bool = True, by: tuple[str, ...] = ("workflow:w",)) -> Wanted:
    return Wanted(model=model, required=required, needed_by=by)


def needs(
    *models: Model | Wanted, generation: str = "g1", problems: tuple[Problem, ...] = (), **more: Any
) -> Requirements:
    """Requirements of one workflow `w`."""
    all_wanted = tuple(each if isinstance(each, Wanted) else wanted(each) for each in models)
    need = WorkflowNeed(
        name="w",
        required=tuple(each.model.path for each in all_wanted if each.required),
        optional=tuple(each.model.path for each in all_wanted if not each.required),
    )
    plain = Requirements(
        generation=generation, assignment=Assignment(workflows=("w",)), wanted=all_wanted, workflows=(need,)
    )
    return replace(plain, problems=problems, **more)
