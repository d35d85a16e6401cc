from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus.jobs import Jobs
from model_manager.bus.shortages import meant, shortages
from model_manager.facts.job import Asks, Shortage
from tests.bus.working import Rig

ENTRY = {"folder": "diffusion_models", "name": "flux/dev.safetensors", "hash": "ab" * 32}


async def test_what_is_missing_where_and_how_long_it_takes(redis: Redis) -> None:
    jobs = Jobs(redis)
    await Rig(redis, "m1").begin("a.pt")
    await Rig(redis, "m2").begin("a.pt", "vae/b.pt")
    await Rig(redis, "m3").begin("a.pt", offer={"services": ["a1111"]})
    asks = Asks(service="comfyui", models=("a.pt", "b.pt", "vae/nobody.pt"))
    explained = await jobs.explain(asks=asks)
    first, second, third = await shortages(
        redis, jobs, explained, bandwidth=50_000_000, sizes={"vae/nobody.pt": 300_000_000}
    )
    assert first == Shortage(machine="m2", missing=("vae/nobody.pt",), bytes=300_000_000, unknown=0, seconds=6.0)
    assert (second.machine, second.bytes, second.seconds) == ("m1", 400_000_000, 8.0)
    assert (third.machine, len(third.others)) == ("m3", 1)


async def test_a_size_that_nobody_knows_is_not_guessed(redis: Redis) -> None:
    jobs = Jobs(redis)
    await Rig(redis, "m1").begin("a.pt")
    explained = await jobs.explain(asks=Asks(service="comfyui", models=("nobody.pt",)))
    (short,) = await shortages(redis, jobs, explained, bandwidth=1)
    assert (short.missing, short.unknown, short.seconds) == (("nobody.pt",), 1, None)


@pytest.mark.parametrize("stored", [b"{", b"[]", b'{"loras": 1}', b'{"loras": [1, {"name": "b.pt"}]}'])
async def test_k10_an_inventory_that_is_no_inventory_tells_no_size(redis: Redis, stored: bytes) -> None:
    jobs = Jobs(redis)
    await Rig(redis, "m1").begin("a.pt")
    other = await Rig(redis, "m2").begin("b.pt")
    await redis.hset(other.bus.keys.models("m2"), "models", stored)
    explained = await jobs.explain(asks=Asks(service="comfyui", models=("b.pt",)), machine="m1")
    (short,) = await shortages(redis, jobs, explained, bandwidth=1)
    assert short.unknown == 1


@pytest.mark.parametrize(
    "model",
    [
        "dev.safetensors",
        "flux/dev.safetensors",
        "unet/flux/dev.safetensors",
        "models/diffusion_models/flux/dev.safetensors",
        f"sha256:{'AB' * 32}",
        f"autov2:{'ab' * 5}",
        '{"name":"dev.safetensors","hash":"' + "ab" * 32 + '"}',
    ],
)
def test_a_file_is_meant_by_name_path_or_digest(model: str) -> None:
    assert meant(model, ENTRY)


@pytest.mark.parametrize(
    "model",
    ["v.safetensors", "other/dev.safetensors", "sha256:", "sha256:cd", '{"name":"dev.safetensors","sha256":"cd"}'],
)
def test_another_file_is_not_meant(model: str) -> None:
    other: dict[str, Any] = {**ENTRY}
    assert not meant(model, other)
