"""The loop that carries out orders from Redis, and answers each with events: begun, and then done, refused or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from loguru import logger

from model_manager.agent.bell import Bell
from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.bus.orders import Received
from model_manager.errors import BadOrder, BusUnavailable
from model_manager.facts.disk import Held
from model_manager.facts.event import OrderAnswered
from model_manager.facts.order import STALE, Order, identity_of

AGAIN: Final = 5.0
"""Seconds before Redis is asked again after it went away."""

BREATH: Final = 0.5
"""Seconds between two batches of orders: a flood of them is taken a hundred at a time."""

LOOK: Final = 0.2
"""Seconds between two looks whether something is done."""

REMEMBERED: Final = 1_000
"""Orders whose repeats are known for what they are."""

FINDING: Final = ("describe", "remove", "restore", "fetch")
"""Orders that are answered with what was found."""

NAMED: Final = 5
"""Files that an answer names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer of an order that is done at once: `body` for its asker, and for everybody why it was refused, or how many
    files it concerned and what was left aside."""

    body: bytes
    files: int = 0
    why: str = ""
    refused: bool = False


Reply = Callable[[str, bytes], Awaitable[None]]
"""Id of an order, and what its asker is told. Raises BusUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What orders do. `scan` rings; `verify` queues files (None = all) and says how many; `verified` counts how often all
    that was queued had been read; `reload` adopts changed settings, and says why not, or nothing. `find` answers an order whose
    asker wants more than that it was done, for these files; `stop` ends the scan that runs."""

    scan: Callable[[], None]
    verify: Callable[[Collection[str] | None], int]
    verified: Callable[[], int]
    reload: Callable[[], str]
    find: Callable[[Order, Sequence[str], Sequence[str]], Awaitable[Found]]
    stop: Callable[[], None]


@dataclass(slots=True)
class _Task:
    """An order in hand: the entries that brought it, when it began (ISO 8601 UTC), at which count it is done, the files that
    are read for it, those of them that were verified, and what was left aside."""

    order: Order
    entries: dict[str, None]
    begun: str
    due: int = 0
    ended: bool = False
    stopped: bool = False
    files: Sequence[str] = ()
    sound: Sequence[str] = ()
    aside: str = ""


class Obeying:
    """At least once: what a machine died over is done again by its next process. Repeats of one id are one order."""

    def __init__(
        self,
        board: Board,
        shelves: Shelves,
        hands: Hands,
        orders: Callable[[], AsyncIterator[tuple[Received, ...]]],
        settle: Callable[[Sequence[str]], Awaitable[None]],
        reply: Reply,
    ) -> None:
        self._board = board
        self._shelves = shelves
        self._hands = hands
        self._orders = orders
        self._settle = settle
        self._reply = reply
        self._known: dict[str, _Task] = {}
        self._bell = Bell()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(), name="orders")
            group.create_task(self._conclude(), name="answers")

    async def _receive(self) -> None:
        while True:
            try:
                async for received in self._orders():
                    if received:
                        await self._take(received)
                        await asyncio.sleep(BREATH)
            except BusUnavailable:
                await asyncio.sleep(AGAIN)

    async def _take(self, received: Sequence[Received]) -> None:
        """One batch: what is new is begun, all of a kind at once; the rest is settled."""
        fresh: list[_Task] = []
        answers: list[OrderAnswered] = []
        settled: list[str] = []
        for each in received:
            if isinstance(each.order, BadOrder):
                answers += self._unreadable(each.order)
                settled += [each.entry] if each.entry else []
            elif task := self._known.get(each.order.id):
                settled += [each.entry] if task.ended else []
                task.entries[each.entry] = None
            elif each.age > STALE:
                answers.append(_answer(each.order, "dropped", f"it waited for {each.age:.0f} s; ask again"))
                settled.append(each.entry)
            else:
                fresh.append(self._remember(_Task(each.order, {each.entry: None}, self._board.clock.now())))
        answers += self._begin(fresh)
        answers += await self._find([task for task in fresh if task.order.what in FINDING])
        await self._shelves.tell(*answers)
        self._bell.ring()
        await self._settle(settled + [entry for task in fresh if task.ended for entry in task.entries])

    def _unreadable(self, why: BadOrder) -> list[OrderAnswered]:
        logger.bind(reason=str(why)).warning("an order cannot be read")
        try:
            identity = identity_of(str(why.facts["id"]))
        except BadOrder:
            return []
        return [OrderAnswered(order=identity, what="", state="refused", files=0, why=str(why))]

    def _remember(self, task: _Task) -> _Task:
        self._known[task.order.id] = task
        if len(self._known) > REMEMBERED:
            ended = next((known for known, each in self._known.items() if each.ended), None)
            self._known.pop(ended or next(iter(self._known)))
        return task

    def _begin(self, fresh: Sequence[_Task]) -> list[OrderAnswered]:
        """A hundred orders of a kind are one look, one reading, one reload."""
        by_kind = {what: [task for task in fresh if task.order.what == what] for what in ("scan", "verify", "reload")}
        for what, tasks in by_kind.items():
            if tasks:
                logger.bind(orders=[task.order.id for task in tasks]).info(f"asked for a {what}")
        scans, reloads = self._scan(by_kind["scan"]), self._reload(by_kind["reload"])
        called = Called(self._shelves.held)
        stops = [answer for task in fresh if task.order.what == "stop" for answer in self._stop(task)]
        return [*scans, *(self._verify(task, called) for task in by_kind["verify"]), *reloads, *stops]

    def _scan(self, tasks: Sequence[_Task]) -> list[OrderAnswered]:
        """Done when a scan that begins after this has ended."""
        if not tasks:
            return []
        running = bool(self._board.scan_started) and not self._board.scan_finished
        for task in tasks:
            task.due = self._board.counters.scans + (2 if running else 1)
        self._hands.scan()
        return [_answer(task.order, "begun") for task in tasks]

    def _verify(self, task: _Task, called: Called) -> OrderAnswered:
        held = self._shelves.held
        files, unknown = called.files(task.order.files)
        task.files = [file for file in files if held[file].digests]
        unread = len(files) - len(task.files)
        parts = [_some("not here", unknown), f"{unread} not read yet, which comes by itself" if unread else ""]
        task.aside = "; ".join(filter(None, parts))
        if not task.files:
            task.ended = True
            return _answer(task.order, "refused", task.aside or "nothing here was ever read")
        task.sound = [file for file in task.files if held[file].verified]
        task.due = self._hands.verified() + 1
        self._hands.verify(task.files)
        return _answer(task.order, "begun", task.aside, len(task.files))

    def _reload(self, tasks: Sequence[_Task]) -> list[OrderAnswered]:
        if not tasks:
            return []
        why = self._hands.reload()
        for task in tasks:
            task.ended = True
        return [_answer(task.order, "refused" if why else "done", why) for task in tasks]

    def _stop(self, task: _Task) -> list[OrderAnswered]:
        """Scans that somebody asked for end here; what they found by now stays found."""
        task.ended = True
        scans = [each for each in self._known.values() if each.order.what == "scan" and not each.ended]
        for each in scans:
            each.due, each.stopped = 0, True
        self._hands.stop()
        return [_answer(task.order, "done", f"{len(scans)} orders to scan were stopped" if scans else "nothing ran")]

    async def _find(self, tasks: Sequence[_Task]) -> list[OrderAnswered]:
        """Done at once, one after the other. Of what changed nothing nobody else needs to hear."""
        called, answers = Called(self._shelves.held), []
        for task in tasks:
            task.ended = True
            files, missing = called.files(task.order.files)
            found = await self._hands.find(task.order, files, missing)
            with suppress(BusUnavailable):
                await self._reply(task.order.id, found.body)
            if found.refused or task.order.what != "describe":
                answers.append(_answer(task.order, "refused" if found.refused else "done", found.why, found.files))
        return answers

    async def _conclude(self) -> None:
        """Answers what has come to its end."""
        while True:
            await self._bell.wait()
            while waiting := [task for task in self._known.values() if not task.ended]:
                await self._answer([task for task in waiting if self._over(task)])
                await asyncio.sleep(LOOK)

    def _over(self, task: _Task) -> bool:
        if task.stopped:
            return True
        count = self._board.counters.scans if task.order.what == "scan" else self._hands.verified()
        return count >= task.due

    async def _answer(self, ended: Sequence[_Task]) -> None:
        if not ended:
            return
        for task in ended:
            task.ended = True
        await self._shelves.tell(
            *(
                _answer(task.order, "dropped", "it was stopped")
                if task.stopped
                else _answer(task.order, "done", self._outcome(task), len(task.files))
                for task in ended
            )
        )
        try:
            await self._settle([entry for task in ended for entry in task.entries])
        except BusUnavailable:
            return  # whoever begins to listen anew hears of them again, and knows them

    def _outcome(self, task: _Task) -> str:
        """What was found: files that rotted or went, files that could not be read."""
        held = self._shelves.held
        here = [held[file] for file in task.sound if file in held]
        parts = (
            _some("not what they were", [str(each.shelf) for each in here if not each.verified]),
            _some("gone meanwhile", [file for file in task.sound if file not in held]),
            _some("not read", [str(each.shelf) for each in here if each.verified and each.verified_at < task.begun]),
            task.aside,
        )
        return "; ".join(filter(None, parts))


class Called:
    """Files by what they may be called: a path, `folder/name`, or a name. Gathered once for a batch, if anybody asks."""

    def __init__(self, held: Mapping[str, Held]) -> None:
        self._held = held
        self._names: dict[str, list[str]] | None = None

    def files(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The files that are meant, none for all, and the names that mean no file."""
        if not names:
            return list(self._held), []
        met = {name: [name] if name in self._held else self._by_name().get(name, []) for name in names}
        return list(dict.fromkeys(file for files in met.values() for file in files)), [n for n in names if not met[n]]

    def _by_name(self) -> dict[str, list[str]]:
        if self._names is None:
            self._names = {}
            for file, held in self._held.items():
                for name in {str(held.shelf), held.shelf.name}:
                    self._names.setdefault(name, []).append(file)
        return self._names


def _answer(order: Order, state: str, why: str = "", files: int = 0) -> OrderAnswered:
    return OrderAnswered(order=order.id, what=order.what, state=state, files=files, why=why)


def _some(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:NAMED])}{more}"
