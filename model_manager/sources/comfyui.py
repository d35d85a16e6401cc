"""A running ComfyUI: what it says of its nodes (`GET /object_info`) and of its folders (`GET /models`, `GET /models/{folder}`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from model_manager.errors import BadRequest, ComfyUIAway
from model_manager.sources.transport.guard import authority
from model_manager.sources.transport.translating import FAULTS, reason
from model_manager.sources.transport.web import tls

MOST: Final = 64 * 1024 * 1024
"""Bytes of one answer; with hundreds of custom nodes /object_info has some ten million."""

FOLDERS: Final = 500
"""Folders that are asked about."""

PATIENCE: Final = aiohttp.ClientTimeout(total=60, sock_connect=5)


class Survey:
    """Asks one ComfyUI; the address is whatever its user opens in a browser."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        parsed = URL(url)
        self._host = authority(parsed.host or "", parsed.port)

    async def taken(self) -> tuple[Mapping[str, Any], Mapping[str, Sequence[str]]]:
        """What each kind of node takes, and the files of each folder. Raises ComfyUIAway."""
        nodes = await self._ask("/object_info", dict)
        folders = [each for each in await self._ask("/models", list) if isinstance(each, str)][:FOLDERS]
        return nodes, {each: await self._ask(f"/models/{quote(each, safe='')}", list) for each in folders}

    async def _ask(self, path: str, kind: type) -> Any:
        try:
            async with self._session.get(URL(self._url + path, encoded=True), allow_redirects=False) as response:
                if response.status != 200:
                    raise ComfyUIAway(host=self._host, why=f"{path} answered {response.status}")
                content = await self._read(response, path)
        except FAULTS as error:
            raise ComfyUIAway(host=self._host, why=reason(error)) from None
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, kind):
            raise ComfyUIAway(host=self._host, why=f"{path} is not what a ComfyUI answers")
        return found

    async def _read(self, response: aiohttp.ClientResponse, path: str) -> bytes:
        content = bytearray()
        async for piece in response.content.iter_chunked(256 * 1024):
            content += piece
            if len(content) > MOST:
                raise ComfyUIAway(host=self._host, why=f"{path} is larger than {MOST} bytes")
        return bytes(content)


async def surveyed_at(url: str, ca_file: str | None = None) -> tuple[Mapping[str, Any], Mapping[str, Sequence[str]]]:
    """Raises BadRequest for what is no address, ComfyUIAway."""
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadRequest(why="the address of ComfyUI is none", fix="Write for example http://127.0.0.1:8188.")
    connector = aiohttp.TCPConnector(ssl=tls(ca_file))
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
        return await Survey(session, url).taken()
