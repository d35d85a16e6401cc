"""A file that somebody sends as the body of a request, whatever its type."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from model_manager.serving.asking import BODY_SECONDS
from model_manager.serving.problems import Answer, bad_body

LARGEST: Final = 64 * 1024 * 1024
"""Bytes."""


async def received(request: web.Request, what: str) -> bytes:
    """Its bytes. Raises Answer 400 for none, 408, and 413 for more than LARGEST."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > LARGEST:
                    raise Answer(413, "too-large", f"The file is larger than {LARGEST} bytes. Send the {what} alone.")
    except TimeoutError:
        detail = f"The file did not arrive within {BODY_SECONDS:.0f} s. Send it again."
        raise Answer(408, "slow-body", detail) from None
    if not data:
        raise bad_body(f"Nothing was sent. Send the bytes of a {what}, or of a picture that carries one.")
    return bytes(data)
