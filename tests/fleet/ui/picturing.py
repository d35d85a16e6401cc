"""The pages as they look, into docs/screens: `python -m tests.fleet.ui.picturing`. Needs chromium and a Redis server program.

The fleet is played, and the pictures of models are patterns; everything else is the product.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Final

from playwright.async_api import Page, Route

from tests.decisions.workflows.drawing import node, ui
from tests.fleet.ui.browser import browsing
from tests.fleet.ui.realistic import realistic

SCREENS: Final = Path(__file__).parents[3] / "docs" / "screens"
SIZES: Final = {"": {"width": 1040, "height": 660}, "phone-": {"width": 390, "height": 844}}

MODEL: Final = "checkpoints%2FjuggernautXL_v9.safetensors"
VIEWS: Final = {
    "fleet": "/ui/",
    "machine": "/ui/machines/gpu-02",
    "matrix": "/ui/matrix",
    "models": "/ui/models",
    "table": "/ui/models?as=table",
    "model": f"/ui/models/{MODEL}",
    "workflows": "/ui/workflows",
    "workflow": "/ui/workflows/flux_text_to_image",
    "jobs": "/ui/jobs",
    "job": "/ui/jobs/job-1003",
    "downloads": "/ui/downloads",
    "events": "/ui/events",
    "notifications": "/ui/notifications",
    "doctor": "/ui/doctor",
}


def _pattern(seed: str, side: int = 64) -> bytes:
    """A PNG of two colours that flow into each other."""
    one, other = hashlib.sha256(seed.encode()).digest()[:3], hashlib.sha256(seed.encode()).digest()[3:6]

    def row(y: int) -> bytes:
        return b"\0" + b"".join(
            bytes((a * (2 * side - x - y) + b * (x + y)) // (2 * side) for a, b in zip(one, other, strict=True))
            for x in range(side)
        )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"".join(map(row, range(side)))))
        + chunk(b"IEND", b"")
    )


async def _previewed(route: Route) -> None:
    await route.fulfill(body=_pattern(route.request.url), content_type="image/png")


async def _drop(page: Page) -> None:
    drawn = ui(
        node(1, "CheckpointLoaderSimple", "juggernautXL_v9.safetensors"),
        node(2, "LoraLoader", "SDXL/pixel-art-xl.safetensors", 1.0, 1.0),
    )
    await page.locator("input[type=file]").set_input_files(
        files=[{"name": "portrait.json", "mimeType": "application/json", "buffer": json.dumps(drawn).encode()}]
    )
    await page.get_by_role("heading", name="portrait.json").wait_for()


async def main(*only: str) -> None:
    with tempfile.TemporaryDirectory() as state:
        async with realistic(Path(state)) as fleet:
            for prefix, size in SIZES.items():
                for theme in ("light", "dark"):
                    await fleet.beat()
                    await _pictures(fleet.client.url, prefix, size, theme, only)


async def _pictures(url: str, prefix: str, size: dict[str, int], theme: str, only: tuple[str, ...]) -> None:
    async with browsing(url, viewport=size, color_scheme=theme, is_mobile=bool(prefix)) as person:
        await person.page.route("**/preview", _previewed)
        for name, path in VIEWS.items():
            if only and name not in only:
                continue
            await person.open(path)
            if name == "workflows":
                await _drop(person.page)
            if name == "model":
                await person.page.get_by_role("region", name="What is told of it").wait_for(timeout=60_000)
            await person.page.wait_for_timeout(2500)
            await person.page.screenshot(path=SCREENS / f"{prefix}{name}-{theme}.png")


if __name__ == "__main__":
    import sys

    asyncio.run(main(*sys.argv[1:]))
