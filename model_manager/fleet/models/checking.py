"""The loop that asks CivitAI which versions of our models it publishes: when somebody wants it, or every so many hours."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Final, Protocol

from loguru import logger

from model_manager.errors import ModelManagerError, OriginUnavailable, StoreUnavailable, printable
from model_manager.fleet.models.releases import Check, Releases
from model_manager.fleet.registry import Registry
from model_manager.sources.civitai_releases import Listed

LOOK: Final = 1.0
"""Seconds between two looks whether a check is to end."""

EVERY: Final = 10.0
"""Seconds between two looks for what another aggregator learnt, and whether a check is due."""

PAUSES: Final = (2.0, 5.0, 15.0, 60.0)
"""Seconds before a question is put again that was not answered; after the last one the check has failed."""

QUIET: Final = 300.0
"""Seconds of quiet that are waited out; who wants more is asked another time."""

PIECE: Final = 2_000
"""Models that are looked through before others have their turn."""

HOUR: Final = 3_600.0

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,11}")


class Publisher(Protocol):
    host: str

    def of(self, models: Iterable[str]) -> AsyncIterator[Listed]:
        """Raises OriginUnavailable, NotAuthorized, StrangeAnswer."""


Publishing = Callable[[], AbstractAsyncContextManager[Publisher]]


class Checking:
    """`publishing` opens CivitAI's list; `hours` between two checks that nobody asks for, 0 for none."""

    def __init__(self, registry: Registry, releases: Releases, publishing: Publishing, hours: float) -> None:
        self._registry = registry
        self._releases = releases
        self._publishing = publishing
        self._hours = hours
        self._who = secrets.token_hex(8)
        self._bell = asyncio.Event()
        self._mine = ""

    async def begin(self, *, again: bool = False) -> Check:
        """The check that begins, or that goes on already, whoever does it. Raises StoreUnavailable."""
        now = self._releases.now()
        wanted = Check(id=secrets.token_hex(8), who=self._who, state="running", again=again, begun=now, beat=now)
        begun = await self._releases.begin(wanted)
        if begun.id == wanted.id:
            self._mine = begun.id
            self._bell.set()
        return begun

    async def stop(self) -> Check:
        """Raises StoreUnavailable."""
        return await self._releases.stop()

    async def run(self) -> None:
        """Until cancelled. What a check had learnt by then is kept."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._bell.wait()
            self._bell.clear()
            with suppress(StoreUnavailable):  # whoever asks hears of it
                await self._turn()

    async def _turn(self) -> None:
        await self._releases.refresh()
        check = await self._releases.check()
        if not self._mine and self._overdue(check):
            check = await self.begin()
        if self._mine and check.id == self._mine:
            await self._do(check)
        self._mine = "" if check.id == self._mine else self._mine

    def _overdue(self, check: Check) -> bool:
        view = self._registry.view
        known = view.exact and view.away is None
        return bool(self._hours) and known and self._releases.now() - max(check.begun, check.ended) > self._hours * HOUR

    async def _do(self, check: Check) -> None:
        try:
            ended = await self._checked(check)
        except StoreUnavailable:
            raise
        except ModelManagerError as error:
            last = await self._releases.check()
            ended = replace(last if last.id == check.id else check, state="failed", why=printable(error))
        now = self._releases.now()
        await self._releases.note(replace(ended, ended=now, beat=now))
        logger.bind(**_told(ended)).info("versions at CivitAI were looked at")

    async def _checked(self, check: Check) -> Check:
        """Raises what CivitAI's list raises, StoreUnavailable."""
        await self._releases.refresh()
        models = await self._numbers()
        due = self._releases.due(models, again=check.again)
        check = replace(check, total=len(models), fresh=len(models) - len(due))
        if not await self._noted(check):
            return replace(check, state="stopped")
        failures = 0
        async with self._publishing() as publisher:
            while due:
                before = check.asked
                try:
                    async for answer in publisher.of(due):
                        check = await self._learnt(check, answer)
                        due = due[_answered(answer) :]
                        if not await self._noted(check):
                            return replace(check, state="stopped")
                except OriginUnavailable as error:
                    failures = 0 if check.asked > before else failures
                    if not await self._waited(check, error, failures):
                        return replace(check, state="stopped")
                    failures += 1
        return replace(check, state="done", why="")

    async def _learnt(self, check: Check, answer: Listed) -> Check:
        await self._releases.learn(answer.found, answer.absent)
        return replace(
            check,
            state="running",
            why="",
            asked=check.asked + _answered(answer),
            absent=check.absent + len(answer.absent),
            doubtful=check.doubtful + len(answer.doubtful),
        )

    async def _noted(self, check: Check) -> bool:
        return await self._releases.note(replace(check, beat=self._releases.now()))

    async def _waited(self, check: Check, error: OriginUnavailable, failures: int) -> bool:
        """Until the question may be put again; False when the check is to end. Raises the error when that takes too long."""
        if failures >= len(PAUSES) or (error.retry_after or 0.0) > QUIET:
            raise error
        until = self._releases.now() + max(PAUSES[failures], error.retry_after or 0.0)
        waiting = replace(check, state="waiting", why=printable(error))
        while True:
            if not await self._noted(waiting):
                return False
            left = until - self._releases.now()
            if left <= 0:
                return True
            await asyncio.sleep(min(LOOK, left))

    async def _numbers(self) -> set[str]:
        """CivitAI's numbers of the models that machines hold. Raises StoreUnavailable."""
        registry, found = self._registry, set[str]()
        places = await registry.places()
        for begin in range(0, len(places), PIECE):
            texts = (registry.text(place, "civitai_id") for place in places[begin : begin + PIECE])
            found.update(text for text in texts if _NUMBER.fullmatch(text))
            await asyncio.sleep(0)
        return found


def _answered(answer: Listed) -> int:
    return len(answer.found) + len(answer.absent) + len(answer.doubtful)


def _told(check: Check) -> dict[str, object]:
    return {"state": check.state, "asked": check.asked, "absent": check.absent, "reason": check.why}
