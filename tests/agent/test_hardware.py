from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from model_manager.agent import hardware as module
from model_manager.agent.hardware import hardware


def driver(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An nvidia-smi that does as `script` says, and no other."""
    tool = directory / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(module, "QUESTION", (str(tool), *module.QUESTION[1:]))


async def test_the_smallest_card_counts_in_decimal_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, "echo '24564, NVIDIA GeForce RTX 4090'; echo '23034, NVIDIA L4'")
    found = await hardware(str(tmp_path))
    assert (found.gpu_memory_gb, found.gpu_model, found.gpu_count) == (24.15, "NVIDIA L4", 2)
    assert found.ram_gb is not None
    assert found.ram_gb > 0
    assert found.cpu_cores is not None
    assert found.cpu_cores >= 1


async def test_what_the_driver_asks_is_what_it_is_documented_to_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, 'echo "1000, $*"')
    assert (await hardware(str(tmp_path))).gpu_model == "--query-gpu=memory.total,name --format=csv,noheader,nounits"


@pytest.mark.parametrize(
    "script", ["exit 9", "echo '[N/A], NVIDIA GB10'", "echo 'NVIDIA-SMI has failed'", "printf '\\377'"]
)
async def test_a_driver_that_does_not_tell_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    driver(tmp_path, monkeypatch, script)
    found = await hardware(str(tmp_path))
    assert (found.gpu_memory_gb, found.gpu_model, found.gpu_count) == (None, "", 0)


async def test_a_driver_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with asyncio.timeout(20):
        assert (await hardware(str(tmp_path))).gpu_memory_gb is None


async def test_without_a_driver_there_is_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUESTION", (str(tmp_path / "none"),))
    assert (await hardware(str(tmp_path))).gpu_count == 0


async def test_amd_cards_are_read_from_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUESTION", (str(tmp_path / "none"),))
    for card, memory in (("card0", "17163091968"), ("card1", "25753026560"), ("card2", "?")):
        device = tmp_path / card / "device"
        device.mkdir(parents=True)
        (device / "mem_info_vram_total").write_text(f"{memory}\n")
    found = await hardware(str(tmp_path))
    assert (found.gpu_memory_gb, found.gpu_model, found.gpu_count) == (17.16, "amdgpu", 2)
