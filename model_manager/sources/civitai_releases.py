"""Which versions CivitAI publishes of models, many models at a time: `GET /api/v1/models?ids=` (developer.civitai.com, Models)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from model_manager.errors import StrangeAnswer
from model_manager.facts.release import Release, releases_of
from model_manager.sources.searching import Asker
from model_manager.sources.transport.spacing import Spacing
from model_manager.sources.transport.web import tls

AT_ONCE: Final = 20
"""Models of one request. A hundred are allowed; twenty with all their versions and pictures are some 2 MB, which is read in 10 ms."""

PER_SECOND: Final = 1.0
PATIENCE: Final = 20.0
"""Seconds that an answer may take: who asks is taken for dead when nothing is heard of it for longer."""

ALONE: Final = 3
"""Models in a row that cannot be read even alone, after which it is the service that is strange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One answer, by CivitAI's number of a model. `absent`: its list does not have them, for it knows them no more or shows them
    only elsewhere; `doubtful`: what it says of them cannot be read, and why."""

    found: Mapping[str, tuple[Release, ...]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    doubtful: Mapping[str, str] = field(default_factory=dict)


class CivitaiReleases:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.host = asker.host

    async def of(self, models: Iterable[str]) -> AsyncIterator[Listed]:
        """Of models by their numbers, an answer a request; each is to be kept when it comes, for what follows may fail.

        Raises OriginUnavailable, with the seconds to wait where it said so, NotAuthorized, and StrangeAnswer when it speaks
        another language than we know.
        """
        rest, most, odd = list(dict.fromkeys(models)), AT_ONCE, 0
        while rest:
            asked = rest[:most]
            try:
                rows = await self._rows(asked)
            except StrangeAnswer as error:
                if len(asked) > 1:
                    most = len(asked) // 2
                    continue
                odd += 1
                if odd >= ALONE:
                    raise
                rows, why = [], str(error.facts["why"])
                yield Listed(doubtful={asked[0]: why})
            else:
                odd, most = 0, min(AT_ONCE, 2 * most)
                yield _listed(rows, asked)
            rest = rest[len(asked) :]

    async def _rows(self, asked: list[str]) -> list[Any]:
        """Raises StrangeAnswer for what is no list of models."""
        what = f"versions of {len(asked)} models"
        params = {"ids": ",".join(asked), "limit": "100", "nsfw": "true"}
        answer = await self._asker.ask("GET", "api/v1/models", what, params=params)
        rows = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise StrangeAnswer(host=self.host, name=what, why="it has no list of models")
        return rows


def _listed(rows: list[Any], asked: list[str]) -> Listed:
    """A record that cannot be read may be any of those that are missing: then none of them is absent."""
    read = [releases_of(row) if isinstance(row, dict) else None for row in rows]
    found = {model: releases for model, releases in filter(None, read) if model in asked}
    rest = frozenset(asked).difference(found)
    if None in read:
        why = f"{read.count(None)} records of the answer cannot be read"
        return Listed(found=found, doubtful=dict.fromkeys(sorted(rest), why))
    return Listed(found=found, absent=rest)


@asynccontextmanager
async def civitai_releases_at(
    base_url: str,
    token: SecretStr | None = None,
    *,
    ca_file: str | None = None,
    proxy: str | None = None,
    per_second: float = PER_SECOND,
) -> AsyncIterator[CivitaiReleases]:
    """A client for the length of a block, at an address of the operator's own choice. Raises BadSetting for a bad CA file."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls(ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        proxy=proxy,
        headers={"User-Agent": "model_manager", "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=PATIENCE, sock_connect=10),
    ) as session:
        yield CivitaiReleases(Asker(session, base_url, token, "CIVITAI_TOKEN", Spacing(per_second)))
