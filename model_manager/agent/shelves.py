"""What this machine holds, as the index knows it: the one narrow neck through which every change of knowledge passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from model_manager.agent.board import Board
from model_manager.facts import wire
from model_manager.facts.disk import Diff, Held
from model_manager.facts.event import Entry, Envelope, Event, InventorySnapshot
from model_manager.facts.model import Requirements
from model_manager.index.index import Index

LISTENER_BACKLOG = 1000
"""Events that a slow listener of the socket may lag behind before it is dropped."""


class Shelves:
    """A mirror of the index in memory. Rows, outbox and mirror change together, here and nowhere else."""

    def __init__(self, index: Index, board: Board) -> None:
        self._index = index
        self._board = board
        self._held: dict[str, Held] = {}
        self._unread: dict[str, None] = {}
        self._places: dict[tuple[str, str], dict[str, Held]] = {}
        self._digests: dict[str, dict[str, Held]] = {}
        self._listeners: set[asyncio.Queue[tuple[Envelope, ...]]] = set()
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        self._mirror(Diff(appeared=await self._index.held()))

    @property
    def unread(self) -> dict[str, None]:
        """Paths of what nobody has read whole, in the order they came. Read only."""
        return self._unread

    @property
    def held(self) -> dict[str, Held]:
        """Absolute path → what lies there. Read only."""
        return self._held

    async def change(self, diff: Diff, *events: Event) -> None:
        """Enter a change and tell the fleet, in one transaction. An empty change without events does nothing."""
        if diff.empty and not events:
            return
        async with self._turn:
            envelopes = await self._index.apply(diff, events, at=self._board.clock.now())
            self._mirror(diff)
        self._spread(envelopes)
        bells = self._board.bells
        bells.publishing.ring()
        if not diff.empty:
            bells.fetching.ring()
            bells.gate.ring()
            bells.hashing.ring()

    def relevant(self, requirements: Requirements) -> list[Held]:
        """What a plan for these requirements can depend on: files in the wanted places, and files of the wanted bytes."""
        found: dict[str, Held] = {}
        for wanted in requirements.wanted:
            model = wanted.model
            found |= self._places.get((model.path.category, model.path.name), {})
            if model.pin:
                found |= self._digests.get(model.pin.hex, {})
        return list(found.values())

    def _mirror(self, diff: Diff) -> None:
        for held in (*diff.vanished, *diff.appeared, *diff.changed):
            if known := self._held.pop(held.file, None):
                self._forget(known)
        for held in (*diff.appeared, *diff.changed):
            self._remember(held)

    def _forget(self, held: Held) -> None:
        self._unread.pop(held.file, None)
        for index, key in self._keys(held):
            index[key].pop(held.file, None)
            if not index[key]:
                del index[key]

    def _remember(self, held: Held) -> None:
        self._held[held.file] = held
        if held.digests is None:
            self._unread[held.file] = None
        for index, key in self._keys(held):
            index.setdefault(key, {})[held.file] = held

    def _keys(self, held: Held) -> Iterator[tuple[dict[Any, dict[str, Held]], Any]]:
        """The places in the mirror's indexes where a file is found again."""
        yield self._places, (held.shelf.category, held.shelf.name)
        if held.digests:
            yield self._digests, held.digests.sha256
            yield self._digests, held.digests.blake3

    async def snapshot(self) -> tuple[Envelope, tuple[Entry, ...]]:
        """Tell that a snapshot stands for the whole inventory; it, and the inventory exactly as of it."""
        async with self._turn:
            size = sum(held.fingerprint.size for held in self._held.values())
            told = InventorySnapshot(models=len(self._held), bytes=size)
            envelopes = await self._index.apply(Diff(), (told,), at=self._board.clock.now())
            entries = tuple(wire.entry(held) for held in self._held.values())
        self._spread(envelopes)
        return envelopes[-1], entries

    async def tell(self, *events: Event) -> None:
        await self.change(Diff(), *events)

    async def enter(self, held: Held, *events: Event) -> None:
        """One file is known better now, or for the first time."""
        known = self._held.get(held.file)
        if known is None:
            await self.change(Diff(appeared=(held,)), *events)
        elif known != held:
            await self.change(Diff(changed=(held,)), *events)
        else:
            await self.tell(*events)

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[tuple[Envelope, ...]]]:
        """A queue of what is told from now on; a listener that lags too far finds it closed by an empty tuple."""
        queue: asyncio.Queue[tuple[Envelope, ...]] = asyncio.Queue(LISTENER_BACKLOG + 1)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def _spread(self, envelopes: tuple[Envelope, ...]) -> None:
        for queue in tuple(self._listeners):
            if queue.qsize() >= LISTENER_BACKLOG:
                self._listeners.discard(queue)
                queue.put_nowait(())
            else:
                queue.put_nowait(envelopes)
