"""A library of small files that nobody knows yet: rows with quick hashes, beside comfygit's scanner on the same tree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.facts.disk import Fingerprint, Held
from model_manager.library.contents.sampling import quick_hash
from model_manager.library.watching import Watcher
from tests.agent.stage import Stage, stage
from tests.bench.libraries.comfygit import scanned
from tests.bench.libraries.trees import planted, warm
from tests.bench.row import Row

SIZE = 16 * 1024
BATCH = 1000


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    files = 500 if smoke else 10_000
    warm(planted(home / "models", files, 20, SIZE))
    first, again = asyncio.run(_ours(home, files))
    peer = None if smoke else scanned(home / "models", home / "comfygit.sqlite")
    case = f"cold index of {files:,} files of 16 KiB with quick hash (comfygit's scanner)"
    yield Row(
        bench="library", case=case, ours=files / first, peer=files / peer[0] if peer else None, unit="files/s",
        goal=5_000, more_is_better=True,
    )  # fmt: skip
    case = f"unchanged rescan of {files:,} files (comfygit's scanner)"
    yield Row(bench="library", case=case, ours=again, peer=peer[1] if peer else None, unit="s")


async def _ours(home: Path, files: int) -> tuple[float, float]:
    """Seconds of the first look with everything sampled, and of a second look."""
    async with stage(home) as scene:
        eyes = Noticing(scene.board, scene.shelves, Roots([scene.root], scene.index), Watcher([scene.root.path]))
        started = time.perf_counter()
        await eyes.reconcile()
        count = await _sampled(scene)
        first = time.perf_counter() - started
        assert count == files == len(scene.shelves.held)
        scene.board.scanned = True
        started = time.perf_counter()
        await eyes.reconcile()
        return first, time.perf_counter() - started


async def _sampled(scene: Stage) -> int:
    count = 0
    while files := await scene.index.unsampled(BATCH):
        await scene.index.sampled(await asyncio.to_thread(_sample, files))
        count += len(files)
    return count


def _sample(files: Sequence[Held]) -> list[tuple[str, Fingerprint, str]]:
    return [(held.file, *quick_hash(held.file)) for held in files]
