"""Questions that come while others are on their way go together: one call, and an answer for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class _Turn(Enum):
    """What one who waits hears instead of an answer: ask, for all who wait."""

    YOURS = "yours"


@dataclass(eq=False, slots=True)
class _Place(Generic[Question, Answer]):
    question: Question
    heard: asyncio.Future[Answer | _Turn]


class Gathering(Generic[Question, Answer]):
    """`ask` gets up to `most` questions, and is under way `calls` times at once at most. Whoever asks runs it for the others, too;
    when that one is cancelled the others ask again, so a question may be sent twice. What it raises all of them hear.

    More than `few` who ask at once share the calls that begin then: while one is answered the next one is made."""

    def __init__(
        self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], *, most: int, calls: int, few: int = 1
    ) -> None:
        self._ask, self._most, self._few, self._free = ask, most, few, calls
        self._leading = 0
        self._waiting: deque[_Place[Question, Answer]] = deque()

    async def asked(self, question: Question) -> Answer:
        """The answer to this question. Raises what `ask` raises."""
        place = _Place[Question, Answer](question, asyncio.get_running_loop().create_future())
        if self._free:
            self._free -= 1
        else:
            self._waiting.append(place)
            heard = await self._heard(place)
            if not isinstance(heard, _Turn):
                return heard
        return await self._led(place)

    async def _heard(self, place: _Place[Question, Answer]) -> Answer | _Turn:
        try:
            return await place.heard
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif _is_turn(place.heard):
                self._pass_on()
            raise

    async def _led(self, place: _Place[Question, Answer]) -> Answer:
        """Asks for this one and for those who wait by now."""
        others: list[_Place[Question, Answer]] = []
        try:
            await self._others_come()
            share = max(self._few - 1, -(-len(self._waiting) // (self._leading + 1)))
            while self._waiting and len(others) < min(share, self._most - 1):
                others.append(self._waiting.popleft())
            answers = await self._ask([place.question, *(other.question for other in others)])
            told = list(zip(others, answers[1:], strict=True))
        except Exception as error:
            for other in others:
                if not other.heard.done():
                    other.heard.set_exception(error)
            raise
        except asyncio.CancelledError:
            self._waiting.extendleft(other for other in reversed(others) if not other.heard.done())
            raise
        finally:
            self._pass_on()
        for other, answer in told:
            if not other.heard.done():
                other.heard.set_result(answer)
        return answers[0]

    async def _others_come(self) -> None:
        """Whoever is about to ask comes along; who leads a call until then shares them."""
        self._leading += 1
        try:
            await asyncio.sleep(0)
        finally:
            self._leading -= 1

    def _pass_on(self) -> None:
        """Who waits longest asks next."""
        while self._waiting:
            next_one = self._waiting.popleft()
            if not next_one.heard.done():
                next_one.heard.set_result(_Turn.YOURS)
                return
        self._free += 1


def _is_turn(heard: asyncio.Future[Answer | _Turn]) -> bool:
    """Whether this one was to ask next."""
    return heard.done() and not heard.cancelled() and heard.exception() is None and heard.result() is _Turn.YOURS
