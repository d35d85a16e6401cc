from __future__ import annotations

import json
from dataclasses import replace

import pytest

from model_manager.agent.control.status import (
    SHOWN,
    plan_answer,
    problems,
    progress_answer,
    ready_answer,
    shown,
    status_answer,
    success_rate,
)
from model_manager.facts import wire
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.model import Problem
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, model, needs, wanted

HERE, COMING, UNSURE, TWIN, NEVER = (
    wanted(model(f"vae/{name}.safetensors", b"weights")) for name in ("here", "coming", "unsure", "twin", "never")
)


async def staged(scene: Stage) -> Stage:
    """One model in each state."""
    held = await scene.holds("vae/here.safetensors")
    unsure = await scene.holds("vae/unsure.safetensors", hashed=False, evidence=None)
    steps = (
        Keep(wanted=HERE, held=held),
        Check(wanted=UNSURE, held=unsure),
        Link(wanted=TWIN, held=held),
        Fetch(wanted=COMING, bytes=7),
        Refuse(wanted=NEVER, why="the catalog gives no address for it"),
    )
    scene.board.plan = Plan(generation="g1", steps=steps)
    scene.board.requirements = needs(HERE, COMING, UNSURE, TWIN, NEVER)
    path = COMING.model.path
    scene.board.transfers = {path: Transfer(shelf=path, phase=Phase.FETCHING, bytes=3, total=7, speed=1.6, eta=2.5)}
    return scene


async def test_every_model_has_one_word_and_a_reason(scene: Stage) -> None:
    await staged(scene)
    models = {entry["name"]: entry for entry in status_answer(scene.board, scene.shelves)["models"]}
    assert {name.split(".")[0]: entry["state"] for name, entry in models.items()} == {
        "here": "present",
        "unsure": "checking",
        "twin": "queued",
        "coming": "fetching",
        "never": "refused",
    }
    assert models["here.safetensors"]["evidence"] == "pin"
    assert models["never.safetensors"]["why"] == "the catalog gives no address for it"
    assert {entry["size"] for entry in models.values()} == {7}


async def test_progress_is_told_in_bytes_and_seconds(scene: Stage) -> None:
    await staged(scene)
    (transfer,) = status_answer(scene.board, scene.shelves)["transfers"]
    assert [transfer[key] for key in ("phase", "bytes", "total", "speed", "eta")] == ["fetching", 3, 7, 2, 2]


async def test_the_whole_answer_is_json_before_and_after_everything_is_known(scene: Stage) -> None:
    empty = json.loads(wire.dumps(status_answer(scene.board, scene.shelves)))
    assert (empty["state"], empty["readiness"]["ready"]) == ("starting", False)
    assert empty["assignment"] == {"generation": "", "complete": False}
    await staged(scene)
    scene.board.disks = (Disk(root="/m", free=1, total=2, floor=0),)
    scene.clock.seconds += 12.34
    full = json.loads(wire.dumps(status_answer(scene.board, scene.shelves)))
    assert full["inventory"] == {"models": 2, "bytes": 14, "verified": 1, "unhashed": 1, "hashing": ""}
    assert full["assignment"]["required"] == 5
    assert full["uptime_seconds"] == 12.3
    assert full["disks"] == [{"root": "/m", "free": 1, "total": 2, "floor": 0, "quarantined": None}]


def test_readiness_is_told_workflow_by_workflow() -> None:
    flows = (WorkflowReadiness(name="w", ready=False, reasons=("vae/a: fetching",)),)
    told = ready_answer(Readiness(ready=False, reasons=("vae/a: fetching",), workflows=flows, required=2, present=1))
    assert told["workflows"] == {"w": {"ready": False, "reasons": ("vae/a: fetching",)}}
    assert (told["ready"], told["required"], told["present"]) == (False, 2, 1)


def test_everything_that_a_person_should_look_at_is_among_the_problems(scene: Stage) -> None:
    assert problems(scene.board) == []
    board = scene.board
    board.requirements = needs(problems=(Problem(kind="unknown_model", subject="x", why="no such model"),))
    board.lost_roots = {"/m": "it does not exist"}
    fields = ("assignment_error", "settings_error", "pushed_error", "catalog_error", "bus_error", "index_error")
    for name in fields:
        setattr(board, name, f"the {name}")
    assert set(problems(board)) == {"x: no such model", "/m: it does not exist", *(f"the {name}" for name in fields)}


async def test_the_plan_is_told_step_by_step_with_reasons(scene: Stage) -> None:
    await staged(scene)
    assert scene.board.plan is not None
    told = plan_answer(scene.board.plan)
    assert (told["generation"], told["bytes"]) == ("g1", 7)
    assert [step["step"] for step in told["steps"]] == ["keep", "check", "link", "fetch", "refuse"]
    assert all(step["why"] for step in told["steps"])


async def test_a_fetch_says_what_it_waits_for_or_replaces(scene: Stage) -> None:
    held = await scene.holds("vae/coming.safetensors", b"wrong")
    fetch = Fetch(wanted=COMING, bytes=7)
    ways = (
        fetch,
        replace(fetch, after=HERE.model.path),
        replace(fetch, replaces=held),
        replace(fetch, candidates=(held,)),
    )
    whys = [step["why"] for step in plan_answer(Plan(generation="", steps=ways))["steps"]]
    assert whys[:3] == ["not here", "linked once vae/here.safetensors is here", "the file in its place is not it"]
    assert whys[3].endswith("vae/coming.safetensors may be it and is read first")


@pytest.mark.parametrize(("verified", "failed", "rate"), [(0, 0, None), (3, 1, 0.75), (0, 2, 0.0)])
def test_the_success_rate_counts_downloads_that_ended(scene: Stage, verified: int, failed: int, rate: object) -> None:
    scene.board.counters.verified, scene.board.counters.failed = verified, failed
    assert success_rate(scene.board) == rate


async def test_all_models_together_are_told_with_the_time_that_is_left(scene: Stage) -> None:
    await staged(scene)
    scene.board.speed = 2.0
    said = json.loads(wire.dumps(status_answer(scene.board, scene.shelves)))
    counts = {key: said["total"][key] for key in ("models", "present", "moving", "queued", "failed")}
    assert counts == {"models": 5, "present": 1, "moving": 2, "queued": 1, "failed": 1}
    assert (said["total"]["left"], said["total"]["speed"], said["total"]["eta"]) == (4, 2, 2)
    assert said["optional"]["models"] == 0
    assert progress_answer(scene.board)["total"] == said["total"]


async def test_optional_models_come_after_the_required_ones(scene: Stage) -> None:
    later = replace(TWIN, required=False)
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=COMING, bytes=40), Fetch(wanted=later, bytes=20)))
    scene.board.speed = 2.0
    said = progress_answer(scene.board)
    assert (said["total"]["eta"], said["optional"]["eta"]) == (20, 30)


def test_what_moves_is_shown_first_and_not_without_end(scene: Stage) -> None:
    assert progress_answer(scene.board)["transfers"] == []
    phases = [Phase.FAILED, Phase.WAITING, Phase.QUEUED, Phase.FETCHING, Phase.DONE, Phase.VERIFYING] * 50
    for number, phase in enumerate(phases):
        path = model(f"vae/{number}.gguf").path
        scene.board.transfers[path] = Transfer(shelf=path, phase=phase)
    told = [each.phase for each in shown(scene.board)]
    assert told == [Phase.FETCHING] * 50 + [Phase.VERIFYING] * (SHOWN - 50)
