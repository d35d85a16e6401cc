"""A loopback origin for the sample's files: strong entity tags, ranges, If-Range, and a speed that shows progress.

Its handler is its own because aiohttp's FileResponse honours If-Range only as a date, never as an entity tag.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from model_manager.errors import BadSetting
from model_manager.sample.models import SampleFile
from model_manager.sample.ranges import Beyond, Part, Whole, wish

CHUNK: Final = 64 * 1024
"""Bytes between two looks at the clock."""


class Origin:
    """Serves files by name under /files/. `rate`: bytes/s of each answer, None for as fast as it goes."""

    def __init__(self, files: Iterable[SampleFile], *, rate: int | None = None) -> None:
        self._files = {file.name: file for file in files}
        self._rate = rate

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/files/{name}", self.file)
        return application

    async def file(self, request: web.Request) -> web.StreamResponse:
        """200, 206, 304, 404 or 416."""
        file = self._files.get(request.match_info["name"])
        if file is None or not file.path.is_file():
            raise web.HTTPNotFound
        etag = f'"{file.sha256}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if any(known.value in (file.sha256, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        match wish(request.headers.get("Range"), request.headers.get("If-Range"), etag=etag, size=file.size):
            case Whole():
                return await self._send(request, file, Part(start=0, end=file.size), 200, headers)
            case Part() as part:
                headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
                return await self._send(request, file, part, 206, headers)
            case Beyond():
                headers["Content-Range"] = f"bytes */{file.size}"
                return web.Response(status=416, headers=headers)

    async def _send(
        self, request: web.Request, file: SampleFile, part: Part, status: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_type = "application/octet-stream"
        response.content_length = part.end - part.start
        await response.prepare(request)
        if request.method != "HEAD":
            with file.path.open("rb") as stream:
                stream.seek(part.start)
                async for chunk in self._paced(stream, part.end - part.start):
                    await response.write(chunk)
        await response.write_eof()
        return response

    async def _paced(self, stream: BinaryIO, length: int) -> AsyncIterator[bytes]:
        """`length` bytes, no faster than the rate."""
        clock = asyncio.get_running_loop().time
        began, sent = clock(), 0
        while sent < length:
            chunk = await asyncio.to_thread(stream.read, min(CHUNK, length - sent))
            if not chunk:
                raise ConnectionAbortedError(f"the file ended after {sent} of {length} bytes")
            sent += len(chunk)
            yield chunk
            if self._rate:
                await asyncio.sleep(began + sent / self._rate - clock())


@asynccontextmanager
async def served(application: web.Application, *, remembered: Path) -> AsyncIterator[str]:
    """Serve on loopback for the length of the block; the value is the base URL.

    The port of last time, kept in the file `remembered`, is taken again when it is free: then addresses stay the same
    and unfinished downloads go on. Raises BadSetting when no port can be had.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await _listen(runner, _port(remembered))
        port = runner.addresses[0][1]
        remembered.write_text(f"{port}\n", "ascii")
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        if port:
            await _listen(runner, 0)
            return
        raise BadSetting(
            name="sample origin", why=f"no port of 127.0.0.1 can be listened on ({error})", fix="Free one."
        ) from error


def _port(remembered: Path) -> int:
    try:
        text = remembered.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() and 1024 <= int(text) < 65536 else 0
