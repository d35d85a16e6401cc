"""What this machine holds, as the index knows it: the one narrow neck through which every change of knowledge passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from model_manager.agent.board import Board
from model_manager.agent.collecting import MANY, set_aside, undisturbed
from model_manager.bus.arguments import changes
from model_manager.decisions.planning import candidate_size
from model_manager.facts import wire
from model_manager.facts.description import Address, Lore
from model_manager.facts.disk import HUB, Diff, Held
from model_manager.facts.event import Entry, Envelope, Event, InventorySnapshot
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Requirements
from model_manager.index.index import Index

FRESH = 64
"""Events and changes that are kept in memory until they are published; when there are more the outbox is read."""

LISTENER_BACKLOG = 1000
"""Events that a slow listener of the socket may lag behind before it is dropped."""


class Shelves:
    """A mirror of the index in memory. Rows, outbox and mirror change together, here and nowhere else."""

    def __init__(self, index: Index, board: Board) -> None:
        self._index = index
        self._board = board
        self._held: dict[str, Held] = {}
        self._unread: dict[int, dict[str, None]] = {}
        self._places: dict[tuple[str, str], dict[str, Held]] = {}
        self._digests: dict[str, dict[str, Held]] = {}
        self._sizes: dict[int, dict[str, Held]] = {}
        self._lent: dict[str, Held] = {}
        self._incomplete: dict[int, dict[str, None]] = {}
        self._passed_over: set[str] = set()
        self._came: list[tuple[str, Lore]] = []
        self._comings = 0
        self._fresh: list[Envelope] = []
        self._fresh_weight = 0
        self._listeners: set[asyncio.Queue[tuple[Envelope, ...]]] = set()
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        with undisturbed():
            self._mirror(Diff(appeared=await self._index.held()))

    @property
    def unread(self) -> dict[int, dict[str, None]]:
        """By device (st_dev): paths of what nobody has read whole, in the order they came. Read only."""
        return self._unread

    @property
    def incomplete(self) -> dict[int, dict[str, None]]:
        """By device: paths of what is known by another digest than the fleet asks for, in the order they came. Read only."""
        return self._incomplete

    @property
    def comings(self) -> int:
        """Grows with every change in which files came, left or moved to another shelf; what is learnt of them does not count."""
        return self._comings

    @property
    def unhashed(self) -> int:
        """Files that nobody has read whole."""
        return sum(map(len, self._unread.values()))

    @property
    def lent(self) -> dict[str, Held]:
        """Files outside of our directories whose bytes may be wanted, by absolute path. Read only; nobody is told of them."""
        return self._lent

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
            bells.describing.ring()

    def relevant(self, requirements: Requirements) -> list[Held]:
        """What a plan for these requirements can depend on: files in the wanted places, and files that are or may be the
        wanted bytes, as far as they can be read."""
        found: dict[str, Held] = {}
        for wanted in requirements.wanted:
            model = wanted.model
            found |= self._places.get((model.path.category, model.path.name), {})
            if model.pin:
                found |= self._readable(self._digests.get(model.pin.hex, {}))
                found |= self._readable(self._places.get((HUB, model.pin.hex), {}))
            if size := candidate_size(model):
                found |= self._readable(self._sizes.get(size, {}))
        return list(found.values())

    def _readable(self, files: dict[str, Held]) -> dict[str, Held]:
        lost = self._board.lost_roots
        return {file: held for file, held in files.items() if file not in self._passed_over and held.root not in lost}

    def knows(self, pin: Pin) -> bool:
        """Whether bytes with this full digest are on our shelves."""
        return any(held.verified and file not in self._lent for file, held in self._digests.get(pin.hex, {}).items())

    def holds(self, model: Model) -> bool:
        """Whether the model lies at its place: with its own bytes where these are known."""
        there = self._places.get((model.path.category, model.path.name), {}).values()
        return any(
            model.pin is None or (held.verified and held.file in self._digests.get(model.pin.hex, {})) for held in there
        )

    def lend(self, lent: Iterable[Held]) -> None:
        """These files outside of our directories may be wanted; others that were are not any more."""
        now = {held.file: held for held in lent}
        gone = {file: held for file, held in self._lent.items() if file not in now}
        for held in gone.values():
            del self._lent[held.file]
            self._forget(held)
        for held in now.values():
            self.know_better(held)

    def know_better(self, held: Held) -> None:
        """What is known of a lent file."""
        before = self._lent.get(held.file)
        if before == held:
            return
        if before is not None:
            self._forget(before)
        self._lent[held.file] = held
        self._index_it(held)
        self._board.bells.fetching.ring()
        self._board.bells.hashing.ring()

    def pass_over(self, held: Held) -> None:
        """Nobody waits for this file any more, or takes its bytes, until it changes."""
        self._passed_over.add(held.file)
        self._board.bells.fetching.ring()

    async def complain(self, found: Sequence[tuple[Held, str]]) -> None:
        """Why files could not be read whole; "" for one that could. Nobody else is told: their bytes are what they were."""
        if found:
            await self._index.troubled(found)

    def forgive(self) -> None:
        """What was passed over may be readable now."""
        self._passed_over.clear()
        self._board.bells.fetching.ring()

    def _mirror(self, diff: Diff) -> None:
        moved = any((known := self._held.get(held.file)) and known.shelf != held.shelf for held in diff.changed)
        self._comings += bool(diff.appeared or diff.vanished or moved)
        for held in (*diff.vanished, *diff.appeared, *diff.changed):
            if known := self._held.pop(held.file, None):
                self._forget(known)
        for held in (*diff.appeared, *diff.changed):
            self._remember(held)
        if len(diff.appeared) >= MANY:
            set_aside()

    def _forget(self, held: Held) -> None:
        self._passed_over.discard(held.file)
        device = held.fingerprint.device
        for waiting in (self._unread, self._incomplete):
            files = waiting.get(device, {})
            files.pop(held.file, None)
            if not files:
                waiting.pop(device, None)
        for index, key in self._keys(held):
            index[key].pop(held.file, None)
            if not index[key]:
                del index[key]

    def _remember(self, held: Held) -> None:
        self._held[held.file] = held
        device = held.fingerprint.device
        if held.digests is None:
            self._unread.setdefault(device, {})[held.file] = None
        elif not held.digests.complete:
            self._incomplete.setdefault(device, {})[held.file] = None
        self._index_it(held)

    def _index_it(self, held: Held) -> None:
        for index, key in self._keys(held):
            index.setdefault(key, {})[held.file] = held

    def _keys(self, held: Held) -> Iterator[tuple[dict[Any, dict[str, Held]], Any]]:
        """The places in the mirror's indexes where a file is found again."""
        yield self._places, (held.shelf.category, held.shelf.name)
        full = (held.digests.sha256, held.digests.blake3) if held.digests else (None, None)
        for digest in filter(None, full):
            yield self._digests, digest
        if None in full:
            yield self._sizes, held.fingerprint.size

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

    def came_from(self, held: Held, url: str) -> None:
        """Where a file was fetched: learnt with what else is said of it, so that it can be had again, here and elsewhere."""
        if address := Address.parse(url):
            self._came.append((held.file, Lore(file=held.file, size=held.fingerprint.size, addresses=(address,))))
            self._board.bells.describing.ring()

    def take_came(self) -> list[tuple[str, Lore]]:
        """Where files were fetched since this was asked last."""
        came, self._came = self._came, []
        return came

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[tuple[Envelope, ...]]]:
        """A queue of what is told from now on; a listener that lags too far finds it closed by an empty tuple."""
        queue: asyncio.Queue[tuple[Envelope, ...]] = asyncio.Queue(LISTENER_BACKLOG + 1)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def take_fresh(self) -> list[Envelope]:
        """What was told since this was asked last, in order, as it stands in the outbox too; nothing when that was much."""
        fresh, self._fresh, self._fresh_weight = self._fresh, [], 0
        return fresh

    def _keep(self, envelopes: tuple[Envelope, ...]) -> None:
        self._fresh_weight += sum(1 + len(changes(each.event)) for each in envelopes)
        if self._fresh_weight <= FRESH:
            self._fresh.extend(envelopes)
        else:
            self._fresh = []

    def _spread(self, envelopes: tuple[Envelope, ...]) -> None:
        self._keep(envelopes)
        for queue in tuple(self._listeners):
            if queue.qsize() >= LISTENER_BACKLOG:
                self._listeners.discard(queue)
                queue.put_nowait(())
            else:
                queue.put_nowait(envelopes)
