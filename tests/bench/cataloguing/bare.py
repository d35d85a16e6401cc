"""A bare aiohttp server that reads what it is asked and answers with so many bytes: what the load itself takes."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


async def _serve(size: int) -> None:
    body = b'{"data":"' + b"x" * max(0, size - 23) + b'","error":null}'

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"catalog at http://{host}:{port}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
