"""The main road: assigned, fetched, verified, announced, open; and true when files and assignments change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin

BASE, VAE, LORA = (safetensors(size, seed) for seed, size in enumerate((3_000_000, 400_000, 300_000)))


def shop(origin: FaultyOrigin) -> dict[str, object]:
    return {
        "models": [
            record("base", origin.put("base.safetensors", BASE), "models/checkpoints/base.safetensors", BASE),
            record("vae", origin.put("vae.safetensors", VAE), "vae/vae.safetensors", VAE),
            record("lora", origin.put("lora.safetensors", LORA), "loras/lora.safetensors"),
        ],
        "workflows": [workflow("flux", "base", "vae", optional=["lora"]), workflow("style", "lora")],
        "collections": [{"id": "starter", "workflows": ["flux", "style"]}],
    }


async def test_a_machine_brings_what_its_workflow_needs_and_opens_the_gate(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        sampler = Sampler(
            machine, {"checkpoints/base.safetensors": {sha256(BASE)}, "vae/vae.safetensors": {sha256(VAE)}}
        )
        sampler.start()
        machine.start()
        await machine.until_ready()
        await machine.until(lambda: len(machine.files()) == 3, "the optional model too")
        sampler.finish()
        assert machine.files() == {
            "checkpoints/base.safetensors": sha256(BASE),
            "vae/vae.safetensors": sha256(VAE),
            "loras/lora.safetensors": sha256(LORA),
        }
        status = machine.status()
        assert status["readiness"]["workflows"] == {"flux": {"ready": True, "reasons": []}}
        assert {model["name"]: model["evidence"] for model in status["models"]} == {
            "base.safetensors": "pin", "vae.safetensors": "pin", "lora.safetensors": "length",
        }  # fmt: skip
        ready = json.loads((machine.state / "ready.json").read_text())
        assert (ready["pid"], ready["workflows"]) == (machine.process.pid, {"flux": True})
        manifest = json.loads((machine.state / "model-manifest.json").read_text())
        assert (manifest["total_models"], manifest["source"]["workflow_ids"]) == (3, ["flux"])
        assert await machine.stop() == 0
        assert not (machine.state / "ready.json").exists()
        assert machine.leaks() == []


async def test_a_second_start_fetches_nothing(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, COLLECTION_IDS="starter", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        await machine.stop()
        before = dict(origin.asked)
        machine.start()
        await machine.until_ready()
        assert dict(origin.asked) == before


async def test_h5_a_required_file_that_is_deleted_closes_the_gate_and_comes_back(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        (machine.store / "vae/vae.safetensors").unlink()
        await machine.until_said("not ready: the gate is closed", at_most=5)
        await machine.until_ready()
        assert machine.files()["vae/vae.safetensors"] == sha256(VAE)


async def test_an_assignment_file_that_grows_is_taken_up_while_running(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="style", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        (machine.state / "assignment.json").write_text('{"workflows": ["flux"]}')
        await machine.until(lambda: "flux" in machine.status()["readiness"]["workflows"], "flux is known")
        await machine.until_ready()
        assert set(machine.files()) == {"checkpoints/base.safetensors", "vae/vae.safetensors", "loras/lora.safetensors"}
