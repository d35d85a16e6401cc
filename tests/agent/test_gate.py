from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.gate import READY, Gate, boot_id
from model_manager.facts.event import ReadinessChanged
from model_manager.facts.machine import Readiness
from model_manager.facts.model import Problem
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, model, needs, running, turns, until, wanted

A, B = "vae/a.safetensors", "loras/b.safetensors"
DATA = b"weights"


def open_gate(scene: Stage) -> Gate:
    scene.board.scanned = True
    return Gate(scene.board, scene.shelves, scene.state)


async def is_ready(scene: Stage, ready: bool = True) -> Readiness:
    await until(lambda: scene.board.readiness.ready is ready and scene.board.readiness.reasons != ("starting",))
    return scene.board.readiness


async def ready_with(scene: Stage, *places: str) -> Gate:
    for place in places:
        await scene.holds(place, DATA)
    scene.board.requirements = needs(*(model(place, DATA) for place in places))
    return open_gate(scene)


async def test_it_opens_when_every_required_model_is_there(scene: Stage) -> None:
    gate = await ready_with(scene, A, B)
    async with running(gate.run):
        readiness = await is_ready(scene)
        assert (readiness.required, readiness.present) == (2, 2)
        content = json.loads((await until(lambda: gate.file.exists() and gate.file)).read_bytes())
        (told,) = await until(lambda: scene.told(ReadinessChanged))
    assert content["pid"] == os.getpid()
    assert (content["boot_id"], content["epoch"]) == (boot_id(), scene.board.epoch)
    assert (content["generation"], content["workflows"]) == ("g1", {"w": True})
    assert told == ReadinessChanged(ready=True, reasons=(), workflows={"w": True})


async def test_unknown_is_never_ready(scene: Stage) -> None:
    gate = Gate(scene.board, scene.shelves, scene.state)
    async with running(gate.run):
        assert (await is_ready(scene, False)).reasons == ("the model directories are being looked through",)
        scene.board.scanned = True
        scene.board.bells.gate.ring()
        await until(lambda: scene.board.readiness.reasons == ("the assignment has not been read yet",))
        scene.board.requirements = needs(complete=False)
        scene.board.bells.gate.ring()
        await until(lambda: "catalog has not described" in scene.board.readiness.reasons[0])
    assert not gate.file.exists()


async def test_d9_a_readiness_file_that_somebody_left_is_gone_at_once(scene: Stage) -> None:
    left = scene.state / READY
    left.write_text('{"ready": true}')
    async with running(open_gate(scene).run):
        await until(lambda: not left.exists())


async def test_h5_a_file_that_vanished_closes_it_without_any_bell(scene: Stage) -> None:
    gate = await ready_with(scene, A)
    async with running(gate.run):
        await is_ready(scene)
        (scene.store / A).unlink()
        assert (await is_ready(scene, False)).reasons == (f"{A}: it is not there any more",)
        assert not gate.file.exists()
    assert str(scene.store / A) in scene.board.suspects


async def test_c12_a_file_that_was_changed_closes_it(scene: Stage) -> None:
    gate = await ready_with(scene, A)
    async with running(gate.run):
        await is_ready(scene)
        scene.put(A, b"WEIGHTS and more")
        assert (await is_ready(scene, False)).reasons == (f"{A}: it was changed on disk",)


async def test_the_file_is_withdrawn_before_anybody_is_told(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await ready_with(scene, A)
    stood: dict[bool, bool] = {}
    tell = scene.shelves.tell

    async def noted(*events: ReadinessChanged) -> None:
        stood[events[0].ready] = gate.file.exists()
        await tell(*events)

    monkeypatch.setattr(scene.shelves, "tell", noted)
    async with running(gate.run):
        await until(lambda: True in stood)
        (scene.store / A).unlink()
        await until(lambda: False in stood)
    assert stood == {True: True, False: False}


async def test_j7_the_file_is_withdrawn_while_the_index_hangs(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await ready_with(scene, A)

    async def hang(*_: object) -> None:
        await until(lambda: False)

    async with running(gate.run):
        await is_ready(scene)
        monkeypatch.setattr(scene.shelves, "tell", hang)
        for _ in range(2):
            (scene.store / A).unlink()
            await until(lambda: not gate.file.exists())
            scene.put(A, DATA)
            await scene.shelves.enter(scene.held(A))
            await until(gate.file.exists)


async def test_c1_a_full_disk_keeps_the_socket_right_and_the_file_follows(scene: Stage, logged: list[str]) -> None:
    gate = await ready_with(scene, A)
    in_the_way = scene.state / "ready.tmp"
    in_the_way.mkdir()
    async with running(gate.run):
        await is_ready(scene)
        await until(lambda: any("readiness file cannot be written" in line for line in logged))
        assert not gate.file.exists()
        in_the_way.rmdir()
        await until(gate.file.exists)


async def test_optional_models_never_hold_it(scene: Stage) -> None:
    await scene.holds(A, DATA)
    scene.board.requirements = needs(wanted(model(A, DATA)), wanted(model(B, DATA), required=False))
    async with running(open_gate(scene).run):
        assert (await is_ready(scene)).required == 1


async def test_a_problem_of_the_assignment_keeps_it_closed_and_is_the_reason(scene: Stage) -> None:
    problem = Problem(kind="unknown_workflow", subject="flux", why="the catalog does not have it")
    scene.board.requirements = needs(problems=(problem,), complete=False)
    async with running(open_gate(scene).run):
        assert (await is_ready(scene, False)).reasons == ("flux: the catalog does not have it",)


async def test_what_is_on_its_way_is_told_as_it_stands(scene: Stage) -> None:
    path = model(A).path
    scene.board.requirements = needs(model(A, DATA))
    async with running(open_gate(scene).run):
        await until(lambda: scene.board.readiness.reasons == (f"{A}: it is not here yet",))
        scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING)
        scene.board.bells.gate.ring()
        await until(lambda: scene.board.readiness.reasons == (f"{A}: fetching",))
        scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.WAITING, why="connection refused")
        scene.board.bells.gate.ring()
        await until(lambda: scene.board.readiness.reasons == (f"{A}: waiting: connection refused",))


async def test_a_reason_that_changes_is_no_news_for_the_fleet(scene: Stage) -> None:
    path = model(A).path
    scene.board.requirements = needs(model(A, DATA))
    async with running(open_gate(scene).run):
        await until(lambda: scene.told(ReadinessChanged))
        for phase in (Phase.FETCHING, Phase.VERIFYING, Phase.PLACING):
            scene.board.transfers[path] = Transfer(shelf=path, phase=phase)
            scene.board.bells.gate.ring()
            await until(lambda now=phase: scene.board.readiness.reasons == (f"{A}: {now}",))
        await turns()
    assert len(await scene.told(ReadinessChanged)) == 1


async def test_a_file_that_is_not_verified_yet_does_not_count(scene: Stage) -> None:
    await scene.holds(A, DATA, hashed=False, evidence=None)
    scene.board.requirements = needs(model(A, DATA))
    async with running(open_gate(scene).run):
        assert "being verified" in (await is_ready(scene, False)).reasons[0]


async def test_c10_models_of_a_directory_that_is_away_are_not_there_and_nobody_is_suspected(scene: Stage) -> None:
    gate = await ready_with(scene, A)
    async with running(gate.run):
        await is_ready(scene)
        scene.board.lost_roots[str(scene.store)] = "it does not exist"
        scene.store.rename(scene.store.with_name("unmounted"))
        assert "its directory is away" in (await is_ready(scene, False)).reasons[0]
    assert scene.board.suspects == set()


async def test_the_time_to_the_first_opening_is_counted_once(scene: Stage) -> None:
    gate = await ready_with(scene, A)
    scene.clock.seconds += 7
    async with running(gate.run):
        await is_ready(scene)
        (scene.store / A).unlink()
        await is_ready(scene, False)
        scene.clock.seconds += 100
        scene.put(A, DATA)
        await scene.shelves.enter(scene.held(A))
        await is_ready(scene)
    assert scene.board.counters.ready_seconds == 7


def test_the_boot_is_known_by_its_id() -> None:
    kernel = Path("/proc/sys/kernel/random/boot_id")
    assert boot_id() == (kernel.read_text().strip() if kernel.exists() else "")


async def test_an_assignment_that_comes_while_the_files_are_looked_at_is_not_held_against_the_plan_before_it(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = open_gate(scene)
    aside = asyncio.to_thread

    async def meanwhile(work: Callable[..., Any], *arguments: Any) -> Any:
        scene.board.requirements = scene.board.requirements or needs(model(A, DATA))
        return await aside(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", meanwhile)
    async with running(gate.run):
        await until(lambda: scene.board.readiness.generation == "g1")
        await turns()
        told = await until(lambda: scene.told(ReadinessChanged))
    assert [each.ready for each in told] == [False] * len(told)
