"""What CivitAI knows of files by their SHA-256, many at a time, and the pictures that it shows of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import aiohttp
from pydantic import SecretStr
from yarl import URL

from model_manager.errors import BadRecord, Broken, NotAuthorized, NotPublic, OriginUnavailable, Refused, StrangeAnswer
from model_manager.facts import wire
from model_manager.sources.answering import failure_of, retry_after
from model_manager.sources.civitai_versions import VersionIds, Versions, ids_of, versions_of
from model_manager.sources.transport.guard import authority, shown
from model_manager.sources.transport.spacing import Spacing
from model_manager.sources.transport.translating import FAULTS, translated
from model_manager.sources.transport.web import Answer, Web, tls

RECORDS: Final = "/api/v1/model-versions/by-hash"
IDS: Final = "/api/v1/model-versions/by-hash/ids"
AT_ONCE: Final[Mapping[str, int]] = {RECORDS: 100, IDS: 10_000}
"""Hashes in one request, as CivitAI's reference of model versions says; 101 and 10,001 are answered with 400."""

MAX_ANSWER: Final = 32 * 1024 * 1024
"""Bytes. A hundred records with ten pictures each are some 5 MB."""

MAX_PREVIEW: Final = 10 * 1024 * 1024
"""Bytes of a picture or a short film."""

PER_SECOND: Final = 1.0
PREVIEWS_PER_SECOND: Final = 4.0

_NAME: Final = "model versions by hash"
_TOO_MUCH: Final = frozenset({400, 413, 422})
_LATER: Final = frozenset({408, 425, 429})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IN_THREAD: Final = 256 * 1024

Picture = Literal["jpeg", "png", "webp", "gif", "mp4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A picture, and what it is by its first bytes."""

    data: bytes
    kind: Picture


class CivitaiRecords:
    """The API at one address, CivitAI's own or a mirror's. The token goes there alone, and only over https.

    Nothing here is remembered: what an answer means for what was known before is for the caller to decide, and that a file
    is absent is never a reason to forget what was told of it.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        web: Web,
        base_url: str,
        token: SecretStr | None = None,
        *,
        spacing: Spacing | None = None,
        previews: Spacing | None = None,
    ) -> None:
        self._session = session
        self._web = web
        self._base = URL(base_url.rstrip("/"))
        self._token = token
        self._spacing = spacing or Spacing(PER_SECOND)
        self._previews = previews or Spacing(PREVIEWS_PER_SECOND)
        self._most = dict(AT_ONCE)

    @property
    def host(self) -> str:
        return authority(self._base.host or "", self._base.port)

    async def ids(self, hashes: Iterable[str]) -> AsyncIterator[VersionIds]:
        """Which versions hold these files (SHA-256): one answer for every request of up to 10,000. Each is to be kept when it
        comes: what follows may fail. Raises what `records` raises."""
        async for asked, rows in self._answers(IDS, hashes):
            yield ids_of(rows, asked, self._base)

    async def records(self, hashes: Iterable[str]) -> AsyncIterator[Versions]:
        """The full records of these files (SHA-256): one answer for every request of up to 100.

        Raises OriginUnavailable, with the seconds to wait where it said so (nothing is asked before they are over),
        NotAuthorized for a token that is not accepted, and StrangeAnswer when it speaks another language than we know.
        """
        async for asked, rows in self._answers(RECORDS, hashes):
            yield versions_of(rows, asked, self._base)

    async def _answers(self, path: str, hashes: Iterable[str]) -> AsyncIterator[tuple[list[str], list[Any]]]:
        """Each request's hashes and the rows of its answer. What is too much for one is asked in halves from then on."""
        rest = list(dict.fromkeys(map(_insist_sha256, hashes)))
        while rest:
            asked = rest[: self._most[path]]
            rows = await self._ask(path, asked)
            if rows is None and len(asked) == 1:
                raise self._strange("even about one file it answers too much, or refuses the question")
            if rows is None:
                self._most[path] = len(asked) // 2
                continue
            rest = rest[len(asked) :]
            yield asked, rows

    async def _ask(self, path: str, asked: list[str]) -> list[Any] | None:
        """The rows; None when it was too much at once."""
        if wait := self._spacing.silence:
            raise OriginUnavailable(host=self.host, name=_NAME, why="it asked for quiet", retry_after=wait)
        await self._spacing.turn()
        try:
            async with self._session.post(
                self._base.joinpath(path.lstrip("/")),
                data=wire.dumps([sha256.upper() for sha256 in asked]),
                headers=self._headers(),
                allow_redirects=False,
            ) as response:
                return await self._rows(response)
        except FAULTS as error:
            raise translated(error, _NAME, self.host) from None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._token and self._base.scheme == "https":
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return headers

    async def _rows(self, response: aiohttp.ClientResponse) -> list[Any] | None:
        status = response.status
        if status in _TOO_MUCH:
            return None
        if status in _LATER or status >= 500:
            raise self._later(response)
        if status in (401, 403):
            raise self._unauthorized(response)
        if status not in (200, 404):
            where = f" to {shown(response.headers['Location'])}" if "Location" in response.headers else ""
            raise self._strange(f"it answered {status}{where}")
        content = await self._content(response)
        if status == 404 and isinstance(content, dict) and "error" in content:
            return []
        if content is not None and (status == 404 or not isinstance(content, list)):
            raise self._strange("it has no such route" if status == 404 else "its answer is no list")
        return content

    async def _content(self, response: aiohttp.ClientResponse) -> Any:
        """What the JSON says; None when it is more than is read at once."""
        if response.content_type in ("text/html", "application/xhtml+xml"):
            if response.status == 404:
                raise self._strange("it has no such route")
            raise OriginUnavailable(host=self.host, name=_NAME, why="a web page came instead of an answer")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._strange("it is compressed, which was not asked for")
        data = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            data += chunk
            if len(data) > MAX_ANSWER:
                response.close()
                return None
        if sum(map(data.count, b"[{,")) > wire.MAX_VALUES:
            return None
        try:
            if len(data) > _IN_THREAD:
                return await asyncio.to_thread(wire.loads_unique, bytes(data), _NAME)
            return wire.loads_unique(bytes(data), _NAME)
        except BadRecord as error:
            raise self._strange(error.facts["why"]) from None

    def _later(self, response: aiohttp.ClientResponse) -> OriginUnavailable:
        wait = retry_after(response.headers, datetime.now(UTC))
        if wait is not None:
            self._spacing.quiet(wait)
        return OriginUnavailable(host=self.host, name=_NAME, why=f"it answered {response.status}", retry_after=wait)

    def _unauthorized(self, response: aiohttp.ClientResponse) -> NotAuthorized | OriginUnavailable:
        """Hashes are looked up for everybody: without a token of ours it is a gate in front of the service that says no."""
        if response.content_type == "text/html" or not self._token:
            why = f"it wants a person, or another network ({response.status})"
            return OriginUnavailable(host=self.host, name=_NAME, why=why)
        why = "it does not accept the token"
        if self._base.scheme != "https":
            why = "it may want the token, which is never sent over http"
        token = "CIVITAI_TOKEN"  # noqa: S105
        return NotAuthorized(host=self.host, status=response.status, name=_NAME, why=why, token=token)

    def _strange(self, why: str) -> StrangeAnswer:
        return StrangeAnswer(host=self.host, name=_NAME, why=why)

    async def fetch_preview(self, url: str) -> Preview:
        """A picture of at most MAX_PREVIEW bytes, from wherever a record says, judged by its first bytes.

        The address comes from outside: it is guarded like every download's. Raises BadUrl, NotFound, NotPublic,
        OriginUnavailable, and Refused for what is too large, or nothing that a browser shows as a picture.
        """
        await self._previews.turn()
        name = shown(url)
        async with self._web.get(name, url, {}) as answer:
            if error := failure_of(name, answer.host, answer.status, answer.headers, answer.moved):
                raise error
            if answer.status in (401, 403):
                why = "it shows this picture only to those it knows"
                raise NotPublic(host=answer.host, status=answer.status, name=name, why=why)
            if answer.status != 200:
                raise _unusable(name, f"it was answered {answer.status}")
            data = await _bounded(name, answer)
        kind = picture_of(data)
        if kind is None:
            raise _unusable(name, "its first bytes are those of no picture that is known")
        return Preview(data=data, kind=kind)


async def _bounded(name: str, answer: Answer) -> bytes:
    if (answer.size or 0) > MAX_PREVIEW:
        raise _unusable(name, f"it is larger than {MAX_PREVIEW} bytes")
    data = bytearray()
    async for chunk in answer.chunks():
        data += chunk
        if len(data) > MAX_PREVIEW:
            raise _unusable(name, f"it is larger than {MAX_PREVIEW} bytes")
    return bytes(data)


def _unusable(name: str, why: str) -> Refused:
    return Refused(what=f"The picture {name} is not used: {why}. Take another one of the same record.")


def picture_of(data: bytes) -> Picture | None:
    """What a picture is by its first bytes, whatever it is called: CivitAI serves films under names ending in .jpeg."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return "mp4"
    return None


def _insist_sha256(text: str) -> str:
    sha256 = text.lower()
    if not _SHA256.fullmatch(sha256):
        raise Broken(what="CivitAI was to be asked about something that is no SHA-256.")
    return sha256


@asynccontextmanager
async def civitai_records_at(
    base_url: str,
    token: SecretStr | None = None,
    *,
    web: Web,
    ca_file: str | None = None,
    proxy: str | None = None,
    per_second: float = PER_SECOND,
) -> AsyncIterator[CivitaiRecords]:
    """A client for the length of a block. `base_url` (`https://civitai.com`, or a mirror's) is the operator's own choice and
    may be private; `web` fetches the pictures. Raises BadSetting for a CA file that cannot be used."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls(ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
        headers={"User-Agent": "model_manager", "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=90, sock_connect=10),
    ) as session:
        yield CivitaiRecords(session, web, base_url, token, spacing=Spacing(per_second))
