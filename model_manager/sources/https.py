"""Models at plain http(s) addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from model_manager.errors import ModelManagerError, NotAuthorized, NotPublic
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer
from model_manager.sources.answering import Linked, Wish, failure_of, offer_of
from model_manager.sources.origin import Stream
from model_manager.sources.transport.guard import shown
from model_manager.sources.transport.parts import parts_of, poured
from model_manager.sources.transport.web import Answer, Hop, Web, straight


def without_query(url: str) -> str:
    """An address that may be written down and shown: no userinfo, no query, no fragment."""
    return shown(url)


class HttpsOrigin:
    """Any http(s) server. Tokens go only where `credentials` sends them, and never over http."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def claims(self, url: str) -> bool:
        return url.lower().startswith(("https://", "http://"))

    @asynccontextmanager
    async def open(
        self,
        model_name: str,
        source: Source,
        *,
        start: int = 0,
        validator: str | None = None,
        size: int | None = None,
        pinned: bool = False,
    ) -> AsyncIterator[Stream]:
        wish = Wish(name=model_name, start=start, validator=validator, size=size, pinned=pinned)
        async with self._asking(wish, source) as (answer, offer):
            pouring = None if answer.size is None else partial(poured, model_name, answer, offer.start, offer.size)
            parts = parts_of(self._web, model_name, answer, offer)
            burst = answer.burst if answer.size == offer.size and not offer.start else None
            yield Stream(model_name, offer, answer.chunks(), parts=parts, pouring=pouring, burst=burst)

    async def describe(self, model_name: str, source: Source) -> Offer:
        async with self._asking(Wish(name=model_name, probe=True), source) as (_, offer):
            return offer

    @asynccontextmanager
    async def _asking(self, wish: Wish, source: Source) -> AsyncIterator[tuple[Answer, Offer]]:
        address = self._address(source.url)
        async with self._web.get(wish.name, address, wish.headers(), partial(self._turning, wish)) as answer:
            if error := self._failure(wish.name, answer):
                raise error
            linked = self._linked(answer)
            yield answer, offer_of(wish, answer.host, answer.status, answer.headers, answer.sent, linked)

    def _address(self, url: str) -> str:
        """The address that is really asked for."""
        return url

    def _turning(self, _wish: Wish, hop: Hop, headers: dict[str, str]) -> dict[str, str]:
        """The request headers after a redirect."""
        return straight(hop, headers)

    def _linked(self, _answer: Answer) -> Linked:
        """What the origin vouches for."""
        return Linked()

    def _failure(self, name: str, answer: Answer) -> ModelManagerError | None:
        """Why the answer is a failure, None when it is not."""
        if error := failure_of(name, answer.host, answer.status, answer.headers, answer.moved):
            return error
        return self._unauthorized(name, answer) if answer.status in (401, 403) else None

    def _unauthorized(self, name: str, answer: Answer) -> NotAuthorized:
        why = "it gives this file only to those it knows"
        token = self._web.credentials.token_of(answer.url)
        if token is None:
            return NotPublic(host=answer.host, status=answer.status, name=name, why=why)
        return NotAuthorized(host=answer.host, status=answer.status, name=name, why=why, token=token)
