"""The same commands while a real agent has the state directory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.model.conftest import put
from tests.stories.machine import Machine, safetensors


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """An agent without an assignment, with a built-in catalog."""
    (tmp_path / "models").mkdir()
    machine = Machine(tmp_path, "")
    machine.start()
    try:
        await machine.until_ready()
        yield machine
    finally:
        machine.end()


async def run(machine: Machine, *arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(_run, machine, *arguments)


def _run(machine: Machine, *arguments: str) -> tuple[int, str, str]:
    program = [sys.executable, "-c", "from model_manager.cli.main import main; main()", "model", *arguments]
    done = subprocess.run(program, env=machine.environment(), capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


async def told(machine: Machine, *arguments: str) -> Any:
    code, out, err = await run(machine, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


async def test_a_person_works_beside_an_agent_as_without_one(machine: Machine, tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    for name in ("a", "b"):
        put(nas / "loras" / f"{name}.safetensors", safetensors(5000, 1))
    code, out, err = await run(machine, "dir", "add", str(nas))
    assert code == 0, err
    assert "2 model files" in out
    assert "the agent reads them" in err
    seen = await told(machine, "index", "sync")
    assert (seen["total"], seen["hashesSkipped"], seen["errors"]) == (2, 0, 0)
    assert len(await told(machine, "index", "find", "a.safetensors")) == 1
    await _copies_give_way_and_come_back(machine, nas)
    assert (await run(machine, "index", "verify", "a.safetensors"))[0] == 0
    assert (await run(machine, "index", "import", str(tmp_path)))[0] == 65
    assert (await run(machine, "dir", "remove", str(nas)))[0] == 0
    assert await told(machine, "index", "list") == []
    assert (nas / "loras" / "a.safetensors").exists()


async def _copies_give_way_and_come_back(machine: Machine, nas: Path) -> None:
    pair = [nas / "loras" / f"{name}.safetensors" for name in ("a", "b")]
    replaced = await told(machine, "index", "duplicates", "--replace", "hardlink", "--yes")
    assert len(replaced["replaced"]) == 1
    assert os.path.samefile(*pair)
    assert len((await told(machine, "index", "duplicates", "--undo"))["undone"]) == 1
    assert not os.path.samefile(*pair)
