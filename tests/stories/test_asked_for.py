"""Models that a person asks a running agent for, by the commands that do so."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cli.workflow.conftest import drawn, told
from tests.stories.machine import PROGRAM, Machine, catalog, record, safetensors, workflow
from tests.stories.origin import FaultyOrigin

DATA, WANTED = safetensors(100_000, 1), safetensors(200_000, 2)


async def test_what_a_workflow_lacks_is_fetched_by_the_agent_and_the_gate_stays_open(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    shop = {
        "models": [record("base", origin.put("base.safetensors", DATA), "models/vae/base.safetensors", DATA)],
        "workflows": [workflow("own", "base")],
    }
    url = origin.put("fine.safetensors", WANTED)
    here = home / "here"
    here.mkdir()
    flow = here / "flow.json"
    flow.write_text(
        json.dumps(drawn(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", WANTED))))
    )
    async with catalog(home / "c", shop) as address:
        machine = machine_of(address, WORKFLOW_IDS="own", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        done = await _run(machine, "workflow", "resolve", str(flow), "--yes", "-C", str(here))
        assert (done.returncode, "1 of 1 load" in done.stderr) == (0, True), done.stderr
        assert machine.ready()
        wanted = [step for step in machine.ask("/plan")[1]["steps"] if step["name"] == "fine.safetensors"]
        assert [(step["step"], step["required"], step["needed_by"]) for step in wanted] == [("keep", False, ["person"])]


async def _run(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [*PROGRAM, *arguments],
        env=machine.environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
