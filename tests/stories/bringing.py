"""One machine that brings models from origins which misbehave, and what must hold after every such fault."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.mirror import converged
from tests.stories.origin import Behaviour, FaultyOrigin, Reply, Request, Thing

MODEL = safetensors(6_000_000, 11)
OTHER = safetensors(6_000_000, 12)
STORED = 4 * 1024 * 1024
"""Bytes of an interrupted MODEL that are on the disk before the connection breaks."""

TAIL = 4 * 1024 * 1024
"""Bytes that may be on the way, in buffers, when a connection breaks."""

ROOM = 300 * 1024 * 1024
"""Bytes of memory that the whole agent may ever have used."""


@dataclass(kw_only=True)
class Wish:
    """A required model: what its origin serves, what the catalog says of it, what must end under its name.

    `served` is what the origin has, `right` what must stand under the name (None: nothing ever); `url` replaces the origin's.
    """

    name: str = "a"
    served: bytes = MODEL
    right: bytes | None = MODEL
    behaviour: Behaviour | None = None
    etag: str | None = "strong"
    pinned: bool = True
    more: dict[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def path(self) -> str:
        return f"/{self.name}.safetensors"

    @property
    def file(self) -> str:
        return f"checkpoints/{self.name}.safetensors"

    def record(self, url: str) -> dict[str, Any]:
        known = self.right if self.pinned else None
        return record(self.name, url, f"models/{self.file}", known, **self.more)


@dataclass
class Bringing:
    """`bring(wishes)` starts the machine; `brought` waits until it is ready, and holds what must always hold."""

    home: Path
    origin: FaultyOrigin
    machine_of: Callable[..., Machine]
    stack: AsyncExitStack
    environ: dict[str, str] = field(default_factory=dict)
    wishes: tuple[Wish, ...] = ()
    machine: Machine = field(init=False)
    sampler: Sampler = field(init=False)

    @property
    def store(self) -> Path:
        return self.home / "m" / "models"

    def stored(self, name: str = "a") -> int:
        """Bytes of the unfinished file."""
        return sum(path.stat().st_size for path in self.store.glob(f".model_manager_partial/{name}.*.part"))

    async def until_stored(self, size: int, name: str = "a") -> None:
        while self.stored(name) < size:
            await asyncio.sleep(0.01)

    def cut(self, name: str = "a", sent: int = 5_000_000) -> Behaviour:
        """Break the connection after `sent` bytes, when STORED of them are on the disk."""

        async def behave(request: Request, thing: Thing, reply: Reply) -> None:
            await reply.honest(request, thing, limit=sent, before_end=lambda: self.until_stored(STORED, name))

        return behave

    async def bring(self, *wishes: Wish, start: bool = True, **environ: str) -> Machine:
        self.wishes = wishes
        records = [wish.record(wish.url or self._put(wish)) for wish in wishes]
        shop = {"models": records, "workflows": [workflow("flow", *(wish.name for wish in wishes))]}
        url = await self.stack.enter_async_context(catalog(self.home / "c", shop))
        self.environ |= {"WORKFLOW_IDS": "flow", "MODEL_MANAGER_ALLOW_HOSTS": self.origin.host} | environ
        self.machine = self.machine_of(url, **self.environ)
        right = {wish.file: set() if wish.right is None else {sha256(wish.right)} for wish in wishes}
        self.sampler = Sampler(self.machine, right, ready_means_all=True)
        self.sampler.start()
        if start:
            self.machine.start()
        return self.machine

    def _put(self, wish: Wish) -> str:
        return self.origin.put(wish.path, wish.served, wish.behaviour, wish.etag)

    async def brought(self, at_most: float = 30.0) -> None:
        """Ready by itself, with the right bytes under every name and in Redis, and nothing told that is secret."""
        await self.machine.until_ready(at_most)
        assert self.machine.files() == {wish.file: sha256(wish.right) for wish in self.wishes if wish.right}
        await self.machine.until(lambda: converged(self.machine), "Redis says what the disk has")
        self.holds()

    def holds(self) -> None:
        """What holds after every fault, ready or not."""
        self.sampler.finish()
        assert self.machine.leaks() == []
        assert self.most_memory() < ROOM

    def most_memory(self) -> int:
        """Bytes of memory that the agent had at its height."""
        assert self.machine.process is not None
        status = Path(f"/proc/{self.machine.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def starts(self, name: str = "a", origin: FaultyOrigin | None = None) -> list[int]:
        """The offset of each request for the model."""
        return [request.start for request in (origin or self.origin).seen if request.path == f"/{name}.safetensors"]

    def told(self, name: str = "a") -> dict[str, Any]:
        """What /status says of the transfer; empty when there is none."""
        transfers = self.machine.status()["transfers"]
        return next((item for item in transfers if item["name"] == f"{name}.safetensors"), {})

    async def until_told(self, why: str, name: str = "a", phase: str = "", at_most: float = 15.0) -> dict[str, Any]:
        """Wait until /status gives this reason (and phase) for the model."""

        def said() -> bool:
            now = self.told(name)
            return why in now.get("why", "") and phase in ("", now.get("phase"))

        await self.machine.until(said, f"{name}: {phase} {why}", at_most)
        return self.told(name)

    def reasons(self, name: str = "a") -> list[str]:
        """Every reason that was logged for the model, oldest first."""
        log = self.machine.state / "log" / "model_manager.log"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [line["reason"] for line in lines if line.get("model", "").endswith(f"/{name}.safetensors") and line.get("reason")]  # fmt: skip


def gone(bringing: Bringing) -> bool:
    """Whether nothing stands under any final name."""
    return bringing.machine.files() == {}
