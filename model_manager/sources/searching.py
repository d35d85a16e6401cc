"""Searches by name on HuggingFace and CivitAI, one question after the other with a pause between them.

HuggingFace: `GET /api/models?search=` finds repositories by their names, `POST /api/models/{repo}/paths-info/{revision}` says
size and SHA-256 of files in one (huggingface_hub, hf_api.py). CivitAI: `GET /api/v1/models?query=` finds models by their titles
with all their files. What is asked is the name of a file, and no more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from pydantic import SecretStr
from yarl import URL

from model_manager.errors import BadRecord, NotAuthorized, OriginUnavailable, StrangeAnswer
from model_manager.facts import wire
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin, TokenName
from model_manager.facts.sourcing import Find, Teller
from model_manager.sources.answering import retry_after
from model_manager.sources.transport.guard import authority
from model_manager.sources.transport.spacing import Spacing
from model_manager.sources.transport.translating import FAULTS, translated
from model_manager.sources.transport.web import tls

MAX_ANSWER: Final = 8 * 1024 * 1024
PER_SECOND: Final = 2.0
AT_ONCE: Final = 20
"""Repositories or models of one answer."""

CLOSER: Final = 5
"""Repositories that are looked into for one name."""

_LATER: Final = frozenset({408, 425, 429})


class Asker:
    """JSON from one service. The token goes there alone, and only over https; where it leads elsewhere nobody follows."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, token: SecretStr | None, named: TokenName, spacing: Spacing
    ) -> None:
        """`named`: the setting that a better token would go into."""
        self._session = session
        self.base = URL(base.rstrip("/"))
        self._token = token
        self._named = named
        self._spacing = spacing

    @property
    def host(self) -> str:
        return authority(self.base.host or "", self.base.port)

    async def ask(self, method: str, path: str, what: str, **more: Any) -> Any:
        """The answer, None for 404. Raises OriginUnavailable, NotAuthorized, StrangeAnswer."""
        if wait := self._spacing.silence:
            raise OriginUnavailable(host=self.host, name=what, why="it asked for quiet", retry_after=wait)
        await self._spacing.turn()
        headers = {}
        if self._token and self.base.scheme == "https":
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        try:
            async with self._session.request(
                method, self.base.joinpath(*path.split("/")), headers=headers, allow_redirects=False, **more
            ) as response:
                return await self._content(response, what)
        except FAULTS as error:
            raise translated(error, what, self.host) from None

    async def _content(self, response: aiohttp.ClientResponse, what: str) -> Any:
        status = response.status
        if status in _LATER or status >= 500:
            wait = retry_after(response.headers, datetime.now(UTC))
            if wait is not None:
                self._spacing.quiet(wait)
            raise OriginUnavailable(host=self.host, name=what, why=f"it answered {status}", retry_after=wait)
        if status in (401, 403):
            why = "it lets nobody search without a token that it accepts"
            raise NotAuthorized(host=self.host, status=status, name=what, why=why, token=self._named)
        if status == 404:
            return None
        if status != 200:
            raise StrangeAnswer(host=self.host, name=what, why=f"it answered {status}")
        data = await self._bounded(response, what)
        try:
            return wire.loads(data, what)
        except BadRecord as error:
            raise StrangeAnswer(host=self.host, name=what, why=error.facts["why"]) from None

    async def _bounded(self, response: aiohttp.ClientResponse, what: str) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise StrangeAnswer(host=self.host, name=what, why=f"its answer is larger than {MAX_ANSWER} bytes")
        return bytes(data)


class HubSearch:
    """Files of repositories whose name resembles a text."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.host = asker.host

    async def finds(self, name: str, queries: Sequence[str]) -> tuple[Find, ...]:
        """Files called `name`, without regard to case, in what the first of the queries that finds any leads to."""
        for query in queries:
            rows = await self._asker.ask(
                "GET", "api/models", name, params={"search": query, "full": "true", "limit": str(AT_ONCE)}
            )
            if not isinstance(rows, list | None):
                raise StrangeAnswer(host=self.host, name=name, why="its answer is no list")
            holding = [(row, paths) for row in rows or () if (paths := _paths(row, name))]
            found = [find for row, paths in holding[:CLOSER] for find in await self._looked_into(row, paths, name)]
            if found:
                return tuple(found)
        return ()

    async def _looked_into(self, row: dict[str, Any], paths: list[str], name: str) -> list[Find]:
        repo = row["id"]
        said = await self._asker.ask("POST", f"api/models/{repo}/paths-info/main", name, json={"paths": paths})
        infos = (
            {info.get("path"): info for info in said or () if isinstance(info, dict)} if isinstance(said, list) else {}
        )
        finds = (self._find(repo, path, infos.get(path, {}), bool(row.get("gated"))) for path in paths)
        return [find for find in finds if find]

    def _find(self, repo: str, path: str, info: dict[str, Any], gated: bool) -> Find | None:
        url = self._asker.base.joinpath(*repo.split("/"), "resolve", "main", *path.split("/"))
        lfs = info.get("lfs")
        pin = Pin.parse(f"sha256:{lfs.get('oid')}") if isinstance(lfs, dict) else None
        return _made("huggingface", url, path, repo, _amount(info.get("size")), pin, gated)


class CivitaiSearch:
    """Files of models whose title resembles a text."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.host = asker.host

    async def finds(self, name: str, queries: Sequence[str]) -> tuple[Find, ...]:
        """As HubSearch."""
        for query in queries:
            answer = await self._asker.ask("GET", "api/v1/models", name, params={"query": query, "limit": str(AT_ONCE)})
            rows = answer.get("items") if isinstance(answer, dict) else None
            if answer is not None and not isinstance(rows, list):
                raise StrangeAnswer(host=self.host, name=name, why="its answer has no list of models")
            if found := [find for row in rows or () for find in _files(row, name)]:
                return tuple(found)
        return ()


def _files(row: Any, name: str) -> Iterator[Find]:
    versions = row.get("modelVersions") if isinstance(row, dict) else None
    for version in versions if isinstance(versions, list) else ():
        files = version.get("files") if isinstance(version, dict) else None
        for file in files if isinstance(files, list) else ():
            if isinstance(file, dict) and _called(file.get("name"), name):
                hashes = file.get("hashes")
                sha256 = hashes.get("SHA256") if isinstance(hashes, dict) else None
                pin = Pin.parse(f"sha256:{sha256}") if isinstance(sha256, str) else None
                title = f"{row.get('name')} {version.get('name')}"
                if found := _made("civitai", file.get("downloadUrl"), file["name"], title, None, pin, gated=False):
                    yield found


def _paths(row: Any, name: str) -> list[str]:
    """Files of a repository that are called so."""
    siblings = row.get("siblings") if isinstance(row, dict) and isinstance(row.get("id"), str) else None
    names = [each.get("rfilename") for each in siblings if isinstance(each, dict)] if isinstance(siblings, list) else []
    return [path for path in names[:10_000] if isinstance(path, str) and _called(path, name)][:CLOSER]


def _called(path: object, name: str) -> bool:
    return isinstance(path, str) and path.rpartition("/")[2].casefold() == name.rpartition("/")[2].casefold()


def _made(
    teller: Teller, url: object, name: str, title: str, size: int | None, pin: Pin | None, gated: bool
) -> Find | None:
    """None for what has no address that could be fetched."""
    address = Address.parse(str(url)) if isinstance(url, str | URL) else None
    if address is None:
        return None
    return Find(teller=teller, url=address.url, name=name, title=title[:200], size=size, pin=pin, gated=gated)


def _amount(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**53 else None


@asynccontextmanager
async def searches(
    hub: str,
    civitai: str,
    *,
    hub_token: SecretStr | None = None,
    civitai_token: SecretStr | None = None,
    ca_file: str | None = None,
    proxy: str | None = None,
    per_second: float = PER_SECOND,
) -> AsyncIterator[tuple[HubSearch, CivitaiSearch]]:
    """Both, for the length of a block, at addresses of the operator's own choice. Raises BadSetting for a bad CA file."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls(ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        proxy=proxy,
        headers={"User-Agent": "model_manager", "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=60, sock_connect=10),
    ) as session:
        yield (
            HubSearch(Asker(session, hub, hub_token, "HF_TOKEN", Spacing(per_second))),
            CivitaiSearch(Asker(session, civitai, civitai_token, "CIVITAI_TOKEN", Spacing(per_second))),
        )
