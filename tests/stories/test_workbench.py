"""A person works on the index while the agent is stopped; the agent that starts afterwards tells the fleet of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.settings import load
from model_manager.workbench.run import workbench
from tests.stories import mirror
from tests.stories.machine import Machine, catalog, safetensors
from tests.workbench.making import put


def no_hole(machine: Machine) -> bool:
    """Of each epoch in the stream, every seq from its first on."""
    seqs: dict[int, list[int]] = {}
    for entry in mirror.stream(machine):
        seqs.setdefault(int(entry["epoch"]), []).append(int(entry["seq"]))
    return all(found == list(range(found[0], found[0] + len(found))) for found in seqs.values())


@pytest.mark.parametrize("name", [{"MACHINE_ID": "m1"}, {}], ids=["its name", "no name"])
async def test_what_a_workbench_did_is_told_by_the_agent_that_starts_later(
    home: Path, machine_of: Callable[..., Machine], name: dict[str, str]
) -> None:
    async with catalog(home / "c", {"models": [], "workflows": []}) as url:
        machine = machine_of(url)
        for seed, place in enumerate(("loras/stays.safetensors", "loras/goes.safetensors")):
            put(machine.store, place, seed)
        machine.start()
        await machine.until(lambda: len(mirror.inventory(machine)) == 2, "both are told")
        await machine.until(lambda: mirror.converged(machine), "with their hashes")
        await machine.stop()

        (machine.store / "loras/goes.safetensors").unlink()
        (machine.store / "loras/stays.safetensors").rename(machine.store / "loras/moved.safetensors")
        put(machine.store, "vae/new.safetensors", 7, size=4000)
        async with workbench(load({"MODEL_MANAGER_STATE_DIR": str(machine.state), **name})) as bench:
            found = await bench.sync()
        assert (found.total, found.added, found.removed, found.hashes_calculated) == (2, 2, 2, 1)

        machine.start()
        await machine.until(lambda: mirror.converged(machine), "Redis says what the disk has")
        kinds = [entry["kind"].decode() for entry in mirror.stream(machine)]
        assert kinds.count("machine.hello") == 3
        assert no_hole(machine)
        assert (machine.store / "vae/new.safetensors").read_bytes() == safetensors(4000, 7)
        assert machine.leaks() == []
        await machine.stop()
