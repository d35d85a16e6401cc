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
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, Route

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.facts.event import DownloadFailed, Entry, RootLost
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.bus.servers import Server
from tests.bus.telling import entry
from tests.decisions.workflows.drawing import node, ui
from tests.fleet.stage import Client, Player, served, settings_for
from tests.fleet.ui.browser import browsing

SCREENS: Final = Path(__file__).parents[3] / "docs" / "screens"
SIZES: Final = {"": {"width": 1040, "height": 660}, "phone-": {"width": 390, "height": 844}}

FAMILIES: Final = {
    "SDXL": ("checkpoints", "sd_xl_base_1.0", "juggernautXL_v9", "realvisXL_v5", "dreamshaperXL_turbo"),
    "Flux.1 D": ("diffusion_models", "flux1-dev-fp8", "flux1-dev"),
    "SD 1.5": ("checkpoints", "SD15/dreamshaper_8", "SD15/v1-5-pruned-emaonly", "SD15/deliberate_v3"),
    "LoRA": (
        "loras",
        "SDXL/add-detail-xl",
        "SDXL/pixel-art-xl",
        "Flux/realism",
        "Flux/anime-flat",
        "SD15/epi_noiseoffset",
        "SD15/moxin",
    ),
    "VAE": ("vae", "sdxl_vae", "ae"),
    "CLIP": ("text_encoders", "t5xxl_fp8_e4m3fn", "clip_l"),
    "ControlNet": ("controlnet", "control-lora-canny-rank256", "flux-union-pro"),
}
MODELS: Final = [
    (family, folder, f"{name}.safetensors") for family, (folder, *names) in FAMILIES.items() for name in names
]
FLOWS: Final = ("sdxl_portrait", "flux_text_to_image", "upscale_4x")
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
    "job": "/ui/jobs/job-1002",
    "downloads": "/ui/downloads",
    "events": "/ui/events",
    "doctor": "/ui/doctor",
}


def _held(number: int) -> list[Entry]:
    return [
        _file(folder, name, number)
        for place, (_, folder, name) in enumerate(MODELS)
        if (place * 7 + number * 5) % 11 < 6
    ]


def _file(folder: str, name: str, number: int) -> Entry:
    digest = hashlib.sha256(f"{folder}/{name}{number == 3 and 'moxin' in name}".encode()).hexdigest()
    size = int(digest[:6], 16) * 400 + 20_000_000
    known = (number + len(name)) % 9 != 0
    return replace(entry(name, folder, verified=known, size=size), hash=digest if known else "")


async def _machine(redis: Any, number: int) -> Player:
    player = Player(redis, f"gpu-{number:02d}")
    player.bus = Bus(redis, MachineId.parse(player.teller.machine), "here", "", 10_000, 3600.0)
    player.teller.hello()
    player.teller.appear(*_held(number))
    await _beaten(player, number)
    if number == 5:
        token = "huggingface.co answered 401 for 'flux1-dev.safetensors': the token is not accepted. Set HF_TOKEN (or HF_TOKEN_FILE) and reload."
        player.teller.tell(
            DownloadFailed(
                folder="diffusion_models",
                name="flux1-dev.safetensors",
                reason=token,
                attempt=2,
                final=True,
                retry_at="",
                error="NotAuthorized",
            )
        )
        player.teller.tell(RootLost(root="/mnt/nfs/models", why="it is not mounted"))
    await player.bus.snapshot(player.teller.snapshot(), player.teller.entries, player.teller.outbox[:-1])
    player.teller.outbox.clear()
    if number == 2:
        await player.move(
            _moving("diffusion_models", "flux1-dev", 9_760_000_000, 23_800_000_000),
            _moving("text_encoders", "t5xxl_fp16", 1_100_000_000, 9_790_000_000),
            speed=412e6,
        )
    return player


async def _beaten(player: Player, number: int) -> None:
    why = "diffusion_models/flux1-dev.safetensors: 41 % of 23.8 GB"
    flows = tuple(
        WorkflowReadiness(name=name, ready=number != 2 or at != 1, reasons=(why,) if number == 2 and at == 1 else ())
        for at, name in enumerate(FLOWS)
    )
    ready = all(flow.ready for flow in flows)
    reasons = tuple(f"{flow.name}: {reason}" for flow in flows for reason in flow.reasons)
    readiness = Readiness(
        ready=ready, reasons=reasons, workflows=flows, generation="g7", required=12, present=12 if ready else 11
    )
    room = Disk(
        root="/workspace/models",
        free=(4 + 90 * number % 400) * 10**9,
        total=10**12,
        floor=20 * 10**9,
        quarantined=number == 4,
    )
    beat = player.teller.beat(
        readiness=readiness,
        disks=(room,),
        host=f"node-{number}",
        version="1.0.0",
        state="ready" if ready else "fetching",
    )
    await player.bus.beat(beat, {})


def _moving(folder: str, name: str, done: int, total: int) -> Transfer:
    shelf = ShelfPath(folder=folder, name=f"{name}.safetensors")
    return Transfer(shelf=shelf, phase=Phase.FETCHING, bytes=done, total=total, speed=206e6, eta=(total - done) / 206e6)


async def _told(client: Client) -> None:
    """Jobs, and what people say of models."""
    for number, (models, policy) in enumerate(
        [
            (["checkpoints/sd_xl_base_1.0.safetensors"], "wait"),
            (["loras/not-here-yet.safetensors", "checkpoints/juggernautXL_v9.safetensors"], "wait"),
            (["vae/ae.safetensors"], "fetch"),
        ]
    ):
        await client.post(
            "/jobs",
            {
                "id": f"job-{1001 + number}",
                "asks": {"models": models, "service": "comfyui"},
                "payload": "{}",
                "policy": policy,
            },
            202,
        )
    async with client.session.get(f"{client.url}/api/v1/models?limit=100") as answer:
        rows = (await answer.json(content_type=None))["models"]
    family = {f"{folder}/{name}": told for told, folder, name in MODELS}
    for row in rows:
        place = f"{row['local_path'].strip('/')}/{row['filename']}".lstrip("/")
        base = next(
            (told for model, told in family.items() if model.endswith(row["filename"]) or model == place), "SDXL"
        )
        fields = {
            "civitai_model_base": "SDXL" if base in ("LoRA", "VAE", "CLIP", "ControlNet") else base,
            "tags": ["photo", "portrait"] if "XL" in row["filename"] else ["style"],
        }
        async with client.session.put(
            f"{client.url}/api/v1/models/{row['id']}/fields",
            json=fields,
            headers={"Authorization": "Bearer a-token-for-writes"},
        ) as put:
            assert put.status == 200, await put.text()


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
        node(2, "LoraLoader", "SDXL/add-detail-xl.safetensors", 1.0, 1.0),
    )
    await page.locator("input[type=file]").set_input_files(
        files=[{"name": "portrait.json", "mimeType": "application/json", "buffer": json.dumps(drawn).encode()}]
    )
    await page.get_by_role("heading", name="portrait.json").wait_for()


async def main(*only: str) -> None:
    server = Server("valkey")
    redis = connect(server.url)
    with tempfile.TemporaryDirectory() as state:
        async with served(settings_for(server.url, Path(state), MODEL_MANAGER_HEARTBEAT_SECONDS="30")) as client:
            players = [await _machine(redis, number) for number in range(1, 7)]
            await players[5].bye()
            await client.until("/fleet", lambda body: body["exact"] and body["machines"]["total"] == 6)
            await _told(client)
            for prefix, size in SIZES.items():
                for theme in ("light", "dark"):
                    await asyncio.gather(*(_beaten(player, number) for number, player in enumerate(players[:5], 1)))
                    await _pictures(client.url, prefix, size, theme, only)
    await redis.aclose()
    server.close()


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
