"""Ours: `python -m … ORDER` fetches what a JSON file lists, as the agent does, and prints what it cost.

Seconds and processor time run from the first request to the last file under its name: an agent that serves a machine
was started long before. `lag` is the longest that the event loop came late, in seconds, and `beside` what an idle process
had of that kind meanwhile; `stolen` are processor seconds that the machine below took. `spans` are the seconds
until most connections were open (`ramp`), while they were (`full`), from then on until the last byte had come (`tail`), and after it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_manager.agent.clock import Clock
from model_manager.agent.threads import started
from model_manager.agent.transfers.downloading import Arrived, Downloading
from model_manager.agent.transfers.slots import Slots
from model_manager.facts.disk import Root
from model_manager.facts.event import DownloadStarted
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source, Wanted
from model_manager.facts.plan import Fetch
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.markers import mark
from model_manager.library.space import Space
from model_manager.settings import Settings, load
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.web import web
from tests.bench.fetching.beside import TICK, idle_process
from tests.bench.fetching.origin import HOST
from tests.bench.fetching.touching import touched


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the benchmark asks for. `files` are name, url, size and a labelled pin; `touch`: see `Work`."""

    store: str
    state: str
    files: list[dict[str, Any]]
    touch: int = 0
    concurrency: int = 8
    ca_file: str | None = None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return load(
            {
                "MODEL_MANAGER_STORE": self.store,
                "MODEL_MANAGER_STATE_DIR": self.state,
                "MODEL_MANAGER_DISK_FLOOR": "0",
                "MODEL_DOWNLOAD_CONCURRENCY": str(self.concurrency),
                "MACHINE_ID": "bench",
                **self.env,
            }
        )


@asynccontextmanager
async def engine(order: Order) -> AsyncIterator[Downloading]:
    """The roads of the agent's own run.py, without its loops."""
    settings = order.settings
    root, space = Root(path=order.store, own=True), Space(settings.disk_floor)
    mark(order.store)
    asyncio.get_running_loop().set_default_executor(started(settings.concurrency + 12, "work"))
    limits = Limits(settings.quotas)
    async with web(Credentials(), allow=(HOST,), ca_file=order.ca_file, limits=limits) as net:
        yield Downloading((HttpsOrigin(net),), root, space, Clock(), lambda: settings, Buffers())


def model(file: dict[str, Any]) -> Model:
    return Model(
        name=file["name"],
        path=ShelfPath.parse("checkpoints", file["name"]),
        sources=(Source(url=file["url"]),),
        size=Size(bytes=file["size"], exact=True),
        pin=Pin.parse(file["pin"]),
    )


class Seen:
    """What the agent's board would take: how many connections there were, and when."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []
        self._received = 0.0

    def __call__(self, transfer: Transfer) -> None:
        if transfer.phase is Phase.FETCHING:
            self._received = time.monotonic()
            self._marks.append((self._received, transfer.connections))

    def told(self, begun: float, ended: float) -> dict[str, float]:
        most = max((count for _, count in self._marks), default=0)
        full = [at for at, count in self._marks if count == most > 1] or [begun]
        spans = (full[0] - begun, full[-1] - full[0], self._received - full[-1], ended - self._received)
        return {"connections": most, **dict(zip(("ramp", "full", "tail", "after"), spans, strict=True))}


async def fetch(order: Order) -> dict[str, Any]:
    slots, late, seen = Slots(order.concurrency, lambda path: 0), [0.0], Seen()
    async with engine(order) as downloading:

        async def bring(wanted: Model) -> Arrived:
            step = Fetch(wanted=Wanted(model=wanted, required=True, needed_by=("machine",)), bytes=0)
            async with slots.of(wanted.path, small=False) as moved:
                return await downloading.attempt(step, wanted.sources[0], 1, seen, _told, moved=moved)

        models = [model(file) for file in order.files]
        touched(Path(order.store), order.touch)
        with idle_process() as beside:
            begun, used = time.monotonic(), time.process_time()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_watch(late))
                async with asyncio.TaskGroup() as work:
                    for wanted in models:
                        work.create_task(bring(wanted))
                watching.cancel()
            ended, cpu = time.monotonic(), time.process_time() - used
    own = {"seconds": ended - begun, "cpu": cpu, "lag": late[0], "spans": seen.told(begun, ended)}
    return own | {"beside": beside.worst, "stolen": beside.stolen}


async def _watch(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK
        await asyncio.sleep(TICK)
        late[0] = max(late[0], loop.time() - due)


async def _told(event: DownloadStarted) -> None:
    """The agent's stream would take it."""


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fetch(Order(**json.loads(Path(sys.argv[1]).read_text()))))))
