from __future__ import annotations

import re

from model_manager.agent.metrics import metrics
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.plan import Fetch, Plan
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, model, wanted

SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{[a-z]+="(?P<label>(?:[^"\\\n]|\\["\\n])*)"\})? (?P<value>[-+0-9.e]+)')


def samples(scene: Stage) -> dict[str, float]:
    """Every line that is no comment, read strictly: name or name:label → value."""
    found: dict[str, float] = {}
    for line in metrics(scene.board, scene.shelves).splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name = match["name"].removeprefix("model_manager_") + (f":{match['label']}" if match["label"] else "")
        assert name not in found
        found[name] = float(match["value"])
    return found


async def test_a_fresh_agent_tells_what_it_knows_and_leaves_out_what_it_does_not(scene: Stage) -> None:
    found = samples(scene)
    assert (found["ready"], found["downloads_failed_total"], found["inventory_models"]) == (0, 0, 0)
    assert not found.keys() & {"startup_seconds", "download_success_ratio", "inventory_age_seconds"}


async def test_the_numbers_are_those_of_the_board(scene: Stage) -> None:
    await scene.holds("vae/a.safetensors")
    board = scene.board
    board.readiness = Readiness(ready=True, reasons=(), required=2, present=2)
    board.counters.verified, board.counters.failed, board.counters.fetched_bytes = 3, 1, 16_106_127_360_123
    board.counters.ready_seconds, board.counters.scanned_at = 12.5, scene.clock.seconds
    board.bus = "connected"
    scene.clock.seconds += 60
    found = samples(scene)
    assert (found["ready"], found["required_models"], found["redis_connected"]) == (1, 2, 1)
    assert (found["inventory_models"], found["inventory_bytes"]) == (1, 7)
    assert (found["startup_seconds"], found["inventory_age_seconds"]) == (12.5, 60)
    assert found["download_success_ratio"] == 0.75
    assert found["downloaded_bytes_total"] == 16_106_127_360_123


async def test_bytes_of_a_disk_are_told_to_the_last_one(scene: Stage) -> None:
    scene.board.disks = (Disk(root="/m", free=1_234_567_890_123, total=2_000_000_000_001, floor=0),)
    found = samples(scene)
    assert (found["disk_free_bytes:/m"], found["disk_total_bytes:/m"]) == (1_234_567_890_123, 2_000_000_000_001)


async def test_models_that_were_here_are_hits_and_a_full_disk_is_one(scene: Stage) -> None:
    assert not samples(scene).keys() & {"model_cache_hit_ratio", "storage_utilization_ratio"}
    scene.board.counters.cache_hits, scene.board.counters.cache_misses = 3, 1
    scene.board.disks = (Disk(root="/m", free=1, total=4, floor=0), Disk(root="/odd", free=0, total=0, floor=0))
    found = samples(scene)
    assert (found["model_cache_hits_total"], found["model_cache_misses_total"]) == (3, 1)
    assert (found["model_cache_hit_ratio"], found["storage_utilization_ratio:/m"]) == (0.75, 0.75)


async def test_k12_a_label_from_outside_stays_in_its_quotes(scene: Stage) -> None:
    evil = 'a"} 1\nmodel_manager_ready 1\\'
    flows = (WorkflowReadiness(name=evil, ready=False, reasons=("no",)), WorkflowReadiness(name="w", ready=True))
    scene.board.readiness = Readiness(ready=False, reasons=("no",), workflows=flows)
    found = samples(scene)
    assert found["ready"] == 0
    assert found["workflow_ready:w"] == 1
    assert sum(name.startswith("workflow_ready") for name in found) == 2


async def test_progress_is_a_part_of_one(scene: Stage) -> None:
    known, unknown = (ShelfPath(folder="vae", name=name) for name in ("a.gguf", "b.gguf"))
    scene.board.transfers = {
        known: Transfer(shelf=known, phase=Phase.FETCHING, bytes=1, total=4),
        unknown: Transfer(shelf=unknown, phase=Phase.FETCHING, bytes=1),
    }
    assert {n: v for n, v in samples(scene).items() if "progress" in n} == {"download_progress_ratio:vae/a.gguf": 0.25}


async def test_the_required_models_are_told_together(scene: Stage) -> None:
    coming = wanted(model("vae/a.gguf", b"x" * 100))
    path = coming.model.path
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=coming, bytes=100),))
    scene.board.transfers = {
        path: Transfer(shelf=path, phase=Phase.FETCHING, bytes=40, total=100, connections=8, host="h.test")
    }
    other = model("vae/b.gguf").path
    scene.board.transfers[other] = Transfer(shelf=other, phase=Phase.WAITING, connections=3, host="h.test")
    scene.board.speed = 20.0
    found = samples(scene)
    assert (found["required_bytes"], found["required_bytes_here"], found["required_unknown_sizes"]) == (100, 40, 0)
    assert (found["download_bytes_per_second"], found["download_eta_seconds"]) == (20, 3)
    assert (found["downloads:fetching"], found["downloads:waiting"]) == (1, 1)
    assert found["download_connections:h.test"] == 8


async def test_every_name_is_explained_and_typed_once(scene: Stage) -> None:
    text = metrics(scene.board, scene.shelves)
    for name in samples(scene):
        plain = f"model_manager_{name.partition(':')[0]}"
        assert text.count(f"# HELP {plain} ") == 1
        kind = "counter" if plain.endswith("_total") else "gauge"
        assert text.count(f"# TYPE {plain} {kind}\n") == 1
    assert text.endswith("\n")
