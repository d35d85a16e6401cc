"""Every address is visited as a machine would: one byte is asked for, first without a token, and the file is not fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from model_manager.errors import BadUrl, Corrupt, ModelManagerError, NotAuthorized, NotFound, Refused, Unavailable
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer
from model_manager.sources.catalog_versions import CivitaiVersions
from model_manager.sources.origin import Origin

PATIENCE: Final = 60.0
"""Seconds that a host's wish for quiet is waited out, once."""

FORBIDDEN: Final = 403
"""Whose token is known, and who may not have it: of a gated model, before its licence was accepted."""

Outcome = Literal["there", "closed", "gone", "strange", "forbidden", "away"]
"""there: the file; closed: it takes a token that we lack, or a licence; gone: no such file; strange: something else came, a page
perhaps; forbidden: no machine goes there; away: nobody can tell now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What an address said. `gated`: it did not answer without a token. `sha256` is what its host vouches for.

    `token`: the variable of the one that it wants; `refused`: that one was sent, and it is not a licence that is missing.
    """

    url: str
    outcome: Outcome
    why: str = ""
    gated: bool = False
    size: int | None = None
    sha256: str | None = None
    token: str | None = None
    refused: bool = False


class Visitor:
    """`open` are origins without tokens, `known` the same with those that are set. One limit on questions lies below both."""

    def __init__(
        self, open: Sequence[Origin], known: Sequence[Origin], versions: CivitaiVersions | None = None
    ) -> None:
        self._open = open
        self._known = known
        self._versions = versions

    async def visit(self, name: str, url: str) -> Visit:
        """Never raises for what an address does."""
        closed = False
        try:
            try:
                offer = await _described(self._open, name, url)
            except NotAuthorized:
                closed = True
                offer = await _described(self._known, name, url)
            sha256 = _promised(offer) or await self._published(url)
        except NotAuthorized as error:
            token, refused = error.facts.get("token"), error.facts.get("status") != FORBIDDEN
            return Visit(url=url, outcome="closed", why=str(error), gated=True, token=token, refused=refused)
        except ModelManagerError as error:
            return Visit(url=url, outcome=_outcome(error), why=str(error), gated=closed)
        return Visit(url=url, outcome="there", gated=closed, size=offer.size, sha256=sha256)

    async def _published(self, url: str) -> str | None:
        """A hash that is published beside the file; that nobody can tell it now is no failure of the address."""
        if self._versions is None:
            return None
        try:
            file = await self._versions.file_at(url)
        except (Unavailable, Refused):
            return None
        return file.sha256 if file else None


async def _described(origins: Sequence[Origin], name: str, url: str) -> Offer:
    origin = next((each for each in origins if each.claims(url)), None)
    if origin is None:
        raise BadUrl(url=url, why="it is neither http nor https")
    try:
        return await origin.describe(name, Source(url=url))
    except Unavailable as error:
        if error.retry_after is None or error.retry_after > PATIENCE:
            raise
        await asyncio.sleep(error.retry_after)
    return await origin.describe(name, Source(url=url))


def _promised(offer: Offer) -> str | None:
    return offer.promise.hex if offer.promise and offer.promise.algorithms == ("sha256",) else None


def _outcome(error: ModelManagerError) -> Outcome:
    match error:
        case NotFound():
            return "gone"
        case Corrupt():
            return "strange"
        case Unavailable():
            return "away"
        case _:
            return "forbidden"
