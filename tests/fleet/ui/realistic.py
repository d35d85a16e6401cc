"""A fleet as somebody may have it: six machines, their models, a catalog, jobs in every state, and rules. Played, but for the catalog."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.facts.event import DownloadFailed, Entry, RootLost
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.order import Order
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.bus.servers import Server
from tests.bus.telling import entry
from tests.bus.working import COMFY
from tests.fleet.replying import described, replying
from tests.fleet.stage import TOKEN, Client, Player, served, settings_for
from tests.stories.machine import catalog, record, workflow

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
FLOWS: Final = {
    "sdxl_portrait": ("juggernautXL_v9", "SDXL/add-detail-xl", "sdxl_vae"),
    "flux_text_to_image": ("flux1-dev", "t5xxl_fp8_e4m3fn", "clip_l", "ae"),
    "upscale_4x": ("sd_xl_base_1.0",),
}
NEEDED: Final = {f"{stem}.safetensors" for stems in FLOWS.values() for stem in stems}
COMING: Final = {"flux1-dev.safetensors", "t5xxl_fp8_e4m3fn.safetensors"}
"""What gpu-02 has not yet."""

FAILED: Final = "huggingface.co answered 401 for 'flux1-fill-dev.safetensors': the token is not accepted. Set HF_TOKEN (or HF_TOKEN_FILE) and reload."
REFUSED: Final = DownloadFailed(
    folder="diffusion_models", name="flux1-fill-dev.safetensors", reason=FAILED, attempt=2, final=True, retry_at="", error="NotAuthorized",
)  # fmt: skip
JOBS: Final = (
    (["loras/not-here-yet.safetensors", "checkpoints/juggernautXL_v9.safetensors"], {"policy": "wait"}),
    (["checkpoints/SD15/v1-5-pruned-emaonly.safetensors"], {"policy": "fetch", "priority": 5}),
    (["checkpoints/juggernautXL_v9.safetensors"], {"policy": "wait", "customer": "studio-7", "max_attempts": 5}),
    (["checkpoints/juggernautXL_v9.safetensors", "loras/SDXL/add-detail-xl.safetensors"], {"policy": "wait"}),
    (["checkpoints/juggernautXL_v9.safetensors"], {"policy": "wait"}),
    (["checkpoints/juggernautXL_v9.safetensors"], {"policy": "wait"}),
    (["checkpoints/juggernautXL_v9.safetensors"], {"policy": "wait"}),
)
RULES: Final = {
    "full disks": {"kind": "disk.low", "below_percent": 5, "machines": ["gpu-*"]},
    "jobs that wait": {"kind": "job.waiting", "seconds": 600},
    "lost models": {"kind": "model.vanished"},
    "new LoRAs": {"kind": "model.appeared", "models": ["loras/*"]},
    "quiet machines": {"kind": "machine.silent", "seconds": 300, "machines": ["gpu-*"]},
}


def size(folder: str, name: str) -> int:
    return int(hashlib.sha256(f"{folder}/{name}{False}".encode()).hexdigest()[:6], 16) * 400 + 20_000_000


def _held(number: int) -> list[Entry]:
    return [
        _file(folder, name, number)
        for place, (_, folder, name) in enumerate(MODELS)
        if ((name in NEEDED and number < 6) or (place * 7 + number * 5) % 11 < 6)
        and not (number == 2 and name in COMING)
    ]


def _file(folder: str, name: str, number: int) -> Entry:
    digest = hashlib.sha256(f"{folder}/{name}{number == 3 and 'moxin' in name}".encode()).hexdigest()
    size = int(digest[:6], 16) * 400 + 20_000_000
    known = name in NEEDED or (number + len(name)) % 9 != 0
    return replace(entry(name, folder, verified=known, size=size), hash=digest if known else "")


def _dated(player: Player, number: int) -> None:
    """What it told, told today, one after the other."""
    begun = datetime.now(UTC) - timedelta(minutes=70 - 9 * number)
    player.teller.outbox[:] = [
        replace(each, at=(begun + timedelta(seconds=41 * at)).isoformat())
        for at, each in enumerate(player.teller.outbox)
    ]


async def _machine(redis: Any, number: int) -> Player:
    player = Player(redis, f"gpu-{number:02d}")
    player.bus = Bus(redis, MachineId.parse(player.teller.machine), "here", "", 10_000, 3600.0)
    player.teller.hello()
    player.teller.appear(*_held(number))
    await _beaten(player, number)
    if number == 5:
        player.teller.tell(REFUSED)
        player.teller.tell(RootLost(root="/mnt/nfs/models", why="it is not mounted"))
    player.teller.snapshot()
    _dated(player, number)
    *before, snapshot = player.teller.outbox
    await player.bus.snapshot(snapshot, player.teller.entries, before)
    player.teller.outbox.clear()
    if number == 2:
        await player.move(
            _moving("diffusion_models", "flux1-dev", 9_760_000_000, 23_800_000_000),
            _moving("text_encoders", "t5xxl_fp8_e4m3fn", 1_100_000_000, 4_890_000_000),
            replace(
                _moving("upscale_models", "4x-UltraSharp", 0, 67_000_000),
                phase=Phase.WAITING, speed=0.0, eta=None, attempt=2, why="huggingface.co answered 503.",
                retry_at=(datetime.now(UTC) + timedelta(seconds=40)).isoformat(),
            ),
            speed=412e6,
        )  # fmt: skip
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


def _records() -> dict[str, Any]:
    models = [
        record(name.rpartition("/")[2], f"https://models.example.com/{folder}/{name}", f"models/{folder}/{name}", fileSize=size(folder, name))
        for _, folder, name in MODELS
    ]  # fmt: skip
    flows = [
        workflow(name, *(f"{stem.rpartition('/')[2]}.safetensors" for stem in stems)) for name, stems in FLOWS.items()
    ]
    return {"models": models, "workflows": flows}


def _telling(folder: str, name: str) -> list[dict[str, Any]]:
    """What a machine knows of a file besides its bytes."""
    at = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    family = next((told for told, place, stem in MODELS if (place, stem) == (folder, name)), "SDXL")
    base = "SDXL" if family in ("LoRA", "VAE", "CLIP", "ControlNet") else family
    told = [("civitai_model_base", base, "civitai"), ("name", name.rpartition("/")[2].split(".")[0], "lora-manager")]
    if folder == "loras":
        told.append(("civitai_trained_words", "detailed, intricate", "civitai"))
    return [{"field": field, "value": value, "teller": teller, "at": at} for field, value, teller in told]


def _said(order: Order) -> Any:
    if order.what != "describe":
        return None
    files = [each.removeprefix("/models/").partition("/") for each in order.files]
    return {
        "files": [
            described(order, told=_telling(folder, name))["files"][at] for at, (folder, _, name) in enumerate(files)
        ],
        "missing": [],
    }


async def _jobs(client: Client, redis: Any) -> None:
    """One in each state."""
    for number, (models, more) in enumerate(JOBS, 1001):
        asks = {"models": models, "service": "comfyui"}
        await client.post("/jobs", {"id": f"job-{number}", "asks": asks, "payload": '{"prompt": "a cat"}', **more}, 202)
    claims = Claims(redis, "", patience=5.0)
    for machine in ("gpu-01", "gpu-03"):
        await claims.offer(machine, COMFY)
    await _tried(claims)
    for how in ("retry", "run", "never", "done"):
        work = await claims.claim("gpu-03" if how == "retry" else "gpu-01", "comfy-worker-1", lease=600.0)
        assert work is not None, how
        if how == "retry":
            await claims.fail(work, "CUDA out of memory. Tried to allocate 2.50 GiB", backoff=240.0)
        if how == "never":
            await claims.fail(work, "the workflow names a node that is not installed: UltimateSDUpscale", how="final")
        if how == "done":
            await claims.complete(work, '{"images": ["portrait_0001.png"]}')


async def _tried(claims: Claims) -> None:
    """The first job was tried before: one worker had too little memory, another one was not heard of any more."""
    work = await claims.claim("gpu-03", "comfy-worker-2", lease=600.0)
    assert work is not None
    await claims.fail(work, "CUDA out of memory. Tried to allocate 2.50 GiB", backoff=0.0)
    assert await claims.claim("gpu-03", "comfy-worker-1", lease=0.1) is not None
    while not (await claims.reap()).requeued:
        await asyncio.sleep(0.05)


async def _rules(client: Client) -> None:
    for name, more in RULES.items():
        made = await client.post("/notifications/rules", {"name": name, **more}, 201)
        if name in ("full disks", "quiet machines"):
            await client.post(f"/notifications/rules/{made['rule']['id']}/test", {})


async def _tagged(client: Client) -> None:
    """What people say of models."""
    rows = (await client.get("/api/v1/models?limit=100"))["models"]
    for row in rows:
        fields = {"tags": ["photo", "portrait"] if "XL" in row["filename"] else ["style"]}
        url = f"{client.url}/api/v1/models/{row['id']}/fields"
        async with client.session.put(url, json=fields, headers={"Authorization": f"Bearer {TOKEN}"}) as put:
            assert put.status == 200, await put.text()


class Realistic:
    """`beat` keeps the machines alive."""

    def __init__(self, client: Client, players: list[Player]) -> None:
        self.client = client
        self._players = players

    async def beat(self) -> None:
        await asyncio.gather(*(_beaten(player, number) for number, player in enumerate(self._players[:5], 1)))


@asynccontextmanager
async def realistic(state: Path) -> AsyncIterator[Realistic]:
    server = Server("valkey")
    redis = connect(server.url)
    async with AsyncExitStack() as stack:
        stack.callback(server.close)
        stack.push_async_callback(redis.aclose)
        address = await stack.enter_async_context(catalog(state / "c", _records()))
        settings = settings_for(server.url, state, MODEL_MANAGER_HEARTBEAT_SECONDS="30", EMPROPS_API_BASE_URL=address)
        client = await stack.enter_async_context(served(settings))
        players = [await _machine(redis, number) for number in range(1, 7)]
        for player in players[:5]:
            await stack.enter_async_context(replying(server.url, player.teller.machine, _said))
        await players[5].bus.bye(replace(players[5].teller.bye(), at=datetime.now(UTC).isoformat()))
        await client.until("/fleet", lambda body: body["exact"] and body["machines"]["total"] == 6)
        await _jobs(client, redis)
        await _tagged(client)
        await _rules(client)
        yield Realistic(client, players)
