"""The port: where the bytes of a model come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from model_manager.errors import Corrupt, OriginUnavailable
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer


class Stream:
    """The bytes of an object from `offer.start` to its end."""

    def __init__(self, name: str, offer: Offer, body: AsyncIterator[bytes]) -> None:
        self._name = name
        self.offer = offer
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order, in pieces of at most 1 MiB; to be read once.

        Raises Corrupt when more come than `offer.size` says, OriginUnavailable when fewer do or the origin falls silent.
        """
        size, at = self.offer.size, self.offer.start
        async for chunk in self._body:
            at += len(chunk)
            if size is not None and at > size:
                raise Corrupt(name=self._name, host=self.offer.host, why=f"more than its {size} bytes came")
            yield chunk
        if size is not None and at < size:
            raise OriginUnavailable(host=self.offer.host, name=self._name, why=f"it ended at byte {at} of {size}")


class Origin(Protocol):
    """Somewhere that models come from."""

    def claims(self, url: str) -> bool:
        """Whether this origin is the one for the address. The first that claims it is asked."""

    def open(
        self,
        model_name: str,
        source: Source,
        *,
        start: int = 0,
        validator: str | None = None,
        size: int | None = None,
    ) -> AbstractAsyncContextManager[Stream]:
        """The object from byte `start`, proven by the strong `validator` to be the one whose first bytes we hold.

        Look at `stream.offer.start`: it is 0 when the object has changed, when there was no proof, or when the origin
        cannot go on in the middle; then what we hold is worthless. `size` is what the earlier offer said, if it did.

        Raises RangeBeyond when the object has no byte at `start`, Corrupt when the origin contradicts itself (start
        again from 0), NotAuthorized, NotFound, BadUrl or another Refused, and OriginUnavailable.
        """

    async def describe(self, model_name: str, source: Source) -> Offer:
        """What `open` would offer, for the price of one byte. Raises the same."""


def strong(validator: str | None) -> bool:
    """Whether an ETag proves that two answers are the same bytes (RFC 9110, 8.8.1): quoted, and not `W/"…"`."""
    if validator is None or not 2 < len(validator) <= 512:
        return False
    inner = validator[1:-1]
    return validator[0] == validator[-1] == '"' and inner.isascii() and inner.isprintable() and '"' not in inner
