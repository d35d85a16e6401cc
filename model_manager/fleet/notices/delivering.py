"""Notices on their way to webhooks: each at least once, with an id by which a receiver knows one that comes again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from loguru import logger

from model_manager.decisions.alerting import pause
from model_manager.errors import BadUrl, OriginUnavailable, StoreUnavailable
from model_manager.facts import wire
from model_manager.fleet.notices.ledger import Delivery, Kept, Ledger, Noted
from model_manager.sources.hooks import Receipt

LOOK: Final = 1.0
"""Seconds between two looks for deliveries that are due."""

OLDEST: Final = 86_400.0
"""Seconds for which a delivery is tried; then it is dead, until somebody sends it again."""

AT_ONCE: Final = 32

Send = Callable[[str, str, str, int, bytes], Awaitable[Receipt]]
"""Address, secret, id, seconds since 1970, body. Raises BadUrl and OriginUnavailable."""


class Delivering:
    """Only who leads delivers. To one receiver one notice at a time: who is slow holds up nobody else."""

    def __init__(self, ledger: Ledger, send: Send, leads: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._send = send
        self._leads = leads
        self._bell = asyncio.Event()
        self._busy: set[str] = set()
        self._troubled = False

    def ring(self) -> None:
        """There is something new to deliver."""
        self._bell.set()

    async def run(self) -> None:
        """Until cancelled. What was under way then is delivered again by whoever leads next."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._begin(group)
                try:
                    async with asyncio.timeout(LOOK):
                        await self._bell.wait()
                except TimeoutError:
                    continue
                self._bell.clear()

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        if not self._leads():
            return
        try:
            found = await self._ledger.due(AT_ONCE + len(self._busy))
        except StoreUnavailable as error:
            self._say(error)
            return
        self._troubled = False
        for noted in found:
            if noted.rule not in self._busy and len(self._busy) < AT_ONCE:
                self._busy.add(noted.rule)
                group.create_task(self._safely(noted), name=f"notice {noted.id}")

    async def _safely(self, noted: Noted) -> None:
        try:
            await self.deliver(noted)
        except StoreUnavailable as error:
            self._say(error)
        finally:
            self._busy.discard(noted.rule)
            self.ring()

    def _say(self, error: StoreUnavailable) -> None:
        if not self._troubled:
            self._troubled = True
            logger.bind(reason=str(error)).warning("deliveries are held up")

    async def deliver(self, noted: Noted) -> Delivery:
        """One attempt, and what became of it. Raises StoreUnavailable."""
        kept = await self._ledger.rule(noted.rule)
        if kept is None or not kept.rule.url:
            made = replace(noted.delivery, state="dead", why="its rule has no webhook any more")
        else:
            made = await self._attempt(noted, kept)
        await self._ledger.settle(noted.id, made)
        return made

    async def _attempt(self, noted: Noted, kept: Kept) -> Delivery:
        tried = replace(noted.delivery, attempts=noted.delivery.attempts + 1)
        identity = f"msg_{await self._ledger.installation()}_{noted.id}"
        now = self._ledger.now()
        try:
            receipt = await self._send(kept.rule.url, kept.secret, identity, int(now), body_of(noted))
        except BadUrl as error:
            return replace(tried, state="dead", status=None, why=str(error))
        except OriginUnavailable as error:
            return self._later(tried, None, str(error.facts["why"]), None)
        if receipt.taken:
            return replace(tried, state="delivered", status=receipt.status, why="")
        if receipt.closed:
            await self._ledger.change(replace(kept.rule, url=""), kept.secret, kept.version)
            why = "it answered 410, it wants no more: the rule's webhook was taken out"
            return replace(tried, state="dead", status=receipt.status, why=why)
        return self._later(tried, receipt.status, f"it answered {receipt.status}", receipt.retry_after)

    def _later(self, tried: Delivery, status: int | None, why: str, asked: float | None) -> Delivery:
        due = self._ledger.now() + pause(tried.attempts, random.random(), asked)  # noqa: S311 - it only spreads
        if due - tried.begun > OLDEST:
            return replace(tried, state="dead", status=status, why=f"{why}; it was tried for a day")
        return replace(tried, due=due, status=status, why=why)


def body_of(noted: Noted) -> bytes:
    """What is posted: `type`, `timestamp` and `data`, as Standard Webhooks has it."""
    data: dict[str, Any] = {
        "id": noted.id,
        "rule": noted.rule,
        "kind": noted.kind,
        "edge": noted.edge,
        **noted.body,
    }
    return wire.dumps({"type": f"{noted.kind}.{noted.edge}", "timestamp": noted.at, "data": data})
