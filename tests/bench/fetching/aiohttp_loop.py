"""The loop that everybody writes: aiohttp, chunks of 1 MiB, aiofiles. Run in the peers' own environment with an order."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiofiles
import aiohttp
from touching import touched

CHUNK = 1024 * 1024


async def main(order: dict[str, Any]) -> None:
    context = ssl.create_default_context(cafile=order["ca_file"])
    at_once = asyncio.Semaphore(order["concurrency"])
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def bring(file: dict[str, Any]) -> None:
            async with at_once, session.get(file["url"]) as answer:
                answer.raise_for_status()
                async with aiofiles.open(Path(order["store"]) / file["name"], "wb") as out:
                    async for chunk in answer.content.iter_chunked(CHUNK):
                        await out.write(chunk)

        touched(Path(order["store"]), order["touch"])
        begun, used = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for file in order["files"]:
                group.create_task(bring(file))
        print(json.dumps({"seconds": time.monotonic() - begun, "cpu": time.process_time() - used}))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
