"""The index for the event loop: a Store on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from model_manager.errors import IndexTooNew, IndexUnavailable
from model_manager.facts.description import Lore
from model_manager.facts.directory import Directory, Scan
from model_manager.facts.disk import Diff, Fingerprint, Held, Root
from model_manager.facts.event import Envelope, Event
from model_manager.facts.identity import MachineId, Pin
from model_manager.facts.known import Answer, Question
from model_manager.facts.shelf import ShelfPath
from model_manager.index.store import Epoch, Snapshot, Store, Totals

AGAIN: Final = 1.0
"""Seconds between attempts at an index that cannot be used now."""

P = ParamSpec("P")
R = TypeVar("R")


class Index:
    """Each method is the Store's of the same name, which says what it does and raises. Calls run in the order they came;
    one whose caller is cancelled is carried out whole, or not at all if it had not begun."""

    def __init__(self, store: Store, thread: ThreadPoolExecutor, waiting: Callable[[str], None] | None) -> None:
        self._store = store
        self._thread = thread
        self._waiting = waiting

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str | Path, *, patience: float = 12.0, waiting: Callable[[str], None] | None = None
    ) -> AsyncIterator[Index]:
        """The index at `path`, made if there is none. `patience`: seconds that a call waits for another process's lock.

        With `waiting`, every call waits for as long as the index cannot be used (locked, its disk full or read-only), and
        `waiting` hears why, then "" when it can be used again. Raises IndexTooNew; IndexUnavailable without `waiting`.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        index = cls(Store(str(path), patience=patience), thread, waiting)
        try:
            await index._ask(index._store.open)
            yield index
        finally:
            index._store.hurried.set()
            closed = thread.submit(index._store.close)
            thread.shutdown(wait=False)
            await asyncio.shield(asyncio.wrap_future(closed))

    @property
    def installation(self) -> str:
        """Random id of this database; a rebuilt one has another."""
        return self._store.installation

    @property
    def machine_id(self) -> str:
        """Under which id its history was written before it was opened; empty when it has none."""
        return self._store.machine_id

    @property
    def rebuilt(self) -> str:
        """Why the database was made anew at opening; empty when it was not."""
        return self._store.rebuilt

    async def begin_epoch(self, now_ms: int, machine_id: MachineId) -> Epoch:
        return await self._ask(self._store.begin_epoch, now_ms, machine_id)

    async def apply(self, diff: Diff, events: Sequence[Event] = (), *, at: str) -> tuple[Envelope, ...]:
        return await self._ask(self._store.apply, diff, events, at=at)

    async def compact(self, *, at: str) -> Snapshot:
        return await self._ask(self._store.compact, at=at)

    async def held(self) -> tuple[Held, ...]:
        return await self._ask(self._store.held)

    async def at(self, files: Sequence[str]) -> dict[str, Held]:
        return await self._ask(self._store.at, files)

    async def with_digest(self, pin: Pin) -> tuple[Held, ...]:
        return await self._ask(self._store.with_digest, pin)

    async def in_slot(self, shelf: ShelfPath) -> tuple[Held, ...]:
        return await self._ask(self._store.in_slot, shelf)

    async def unhashed(self, limit: int) -> tuple[Held, ...]:
        return await self._ask(self._store.unhashed, limit)

    async def totals(self) -> Totals:
        return await self._ask(self._store.totals)

    async def outbox(
        self, limit: int, *, after: tuple[int, int] = (0, 0), most: int | None = None
    ) -> tuple[Envelope, ...]:
        return await self._ask(self._store.outbox, limit, after=after, most=most)

    async def outbox_size(self) -> tuple[int, int]:
        return await self._ask(self._store.outbox_size)

    async def delivered(self, epoch: int, upto_seq: int) -> None:
        await self._ask(self._store.delivered, epoch, upto_seq)

    async def note(self, key: str) -> str | None:
        return await self._ask(self._store.note, key)

    async def set_note(self, key: str, value: str | None) -> None:
        await self._ask(self._store.set_note, key, value)

    async def track(self, path: str, folder: str | None = None, *, at: str) -> Directory:
        return await self._ask(self._store.track, path, folder, at=at)

    async def untrack(self, path: str) -> bool:
        return await self._ask(self._store.untrack, path)

    async def configured(self, roots: Sequence[Root], *, at: str) -> None:
        await self._ask(self._store.configured, roots, at=at)

    async def directories(self) -> tuple[Directory, ...]:
        return await self._ask(self._store.directories)

    async def scanned(self, scan: Scan) -> None:
        await self._ask(self._store.scanned, scan)

    async def learn(self, lore: Sequence[tuple[str, Lore]], *, at: str) -> tuple[str, ...]:
        return await self._ask(self._store.learn, lore, at=at)

    async def undescribed(self, limit: int, *, without: Sequence[str] = ()) -> tuple[Held, ...]:
        return await self._ask(self._store.undescribed, limit, without=without)

    async def described(self, files: Sequence[Held]) -> None:
        await self._ask(self._store.described, files)

    async def unsampled(self, limit: int, *, read: bool = False) -> tuple[Held, ...]:
        return await self._ask(self._store.unsampled, limit, read=read)

    async def sampled(self, found: Sequence[tuple[str, Fingerprint, str]]) -> None:
        await self._ask(self._store.sampled, found)

    async def troubled(self, found: Sequence[tuple[Held, str]]) -> None:
        await self._ask(self._store.troubled, found)

    async def unasked(self, service: str, *, now: float, limit: int) -> tuple[Question, ...]:
        return await self._ask(self._store.unasked, service, now=now, limit=limit)

    async def answered(self, service: str, answers: Sequence[Answer]) -> None:
        await self._ask(self._store.answered, service, answers)

    async def bundle(self, pairs: Sequence[tuple[str, str]]) -> None:
        await self._ask(self._store.bundle, pairs)

    async def bundled(self) -> dict[str, str]:
        return await self._ask(self._store.bundled)

    async def twins(self, files: Sequence[str]) -> tuple[Held, ...]:
        return await self._ask(self._store.twins, files)

    async def _ask(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        while True:
            try:
                result = await asyncio.wrap_future(self._thread.submit(method, *args, **kwargs))
            except IndexTooNew:
                raise
            except IndexUnavailable as error:
                if self._waiting is None:
                    raise
                self._waiting(str(error))
                await asyncio.sleep(AGAIN)
            else:
                if self._waiting is not None:
                    self._waiting("")
                return result
