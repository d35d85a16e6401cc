"""What this machine is made of: graphics memory, memory and cores, as far as it tells by itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from model_manager.facts.job import Hardware

QUESTION: Final = ("nvidia-smi", "--query-gpu=memory.total,name", "--format=csv,noheader,nounits")
"""Answers one line for each card: mebibytes, model."""

PATIENCE: Final = 15.0
"""Seconds; a driver that is just being loaded, or a card that fell off its bus, takes long."""

DRM: Final = "/sys/class/drm"
MIB: Final = 1024 * 1024
Card = tuple[int, str]
"""Bytes of memory, and the model."""


async def hardware(drm: str = DRM) -> Hardware:
    """Of several cards the smallest counts: a job may land on any of them. GB are 10^9 bytes, so that a 24 GB card has 24.

    What cannot be found out is left out; jobs that ask for it then go elsewhere.
    """
    cards = await _nvidia() or _amd(Path(drm))
    smallest = min(cards, default=None)
    return Hardware(
        gpu_memory_gb=round(smallest[0] / 1e9, 2) if smallest else None,
        gpu_model=smallest[1] if smallest else "",
        gpu_count=len(cards),
        ram_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 2),
        cpu_cores=len(os.sched_getaffinity(0)),
    )


async def _nvidia() -> list[Card]:
    try:
        process = await asyncio.create_subprocess_exec(
            *QUESTION,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return []
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        return []
    except asyncio.CancelledError:
        process.kill()
        raise
    return [card for line in said.decode(errors="replace").splitlines() if (card := _card(line))]


def _card(line: str) -> Card | None:
    """None for "[N/A]", as cards that share the machine's memory say."""
    memory, _, model = line.partition(",")
    return (int(memory) * MIB, model.strip()) if memory.strip().isdigit() else None


def _amd(drm: Path) -> list[Card]:
    """Cards of the amdgpu driver, which tells in sysfs (Documentation/gpu/amdgpu/driver-misc.rst)."""
    cards = []
    for file in sorted(drm.glob("card*/device/mem_info_vram_total")):
        try:
            cards.append((int(file.read_text()), "amdgpu"))
        except (OSError, ValueError):
            continue
    return cards
