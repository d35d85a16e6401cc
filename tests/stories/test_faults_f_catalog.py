"""The catalog is away, lies, narrows, bloats and flaps: what was known stays, what is unknown is never ready."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from tests.stories.lying import LyingCatalog, endless, enveloped, lying_catalog, truncated
from tests.stories.machine import Machine, Sampler, peak_memory, record, safetensors, sha256
from tests.stories.mirror import converged
from tests.stories.origin import FaultyOrigin, paced

ONE, TWO, THREE, BIG = (safetensors(size, seed) for seed, size in enumerate((60_000, 70_000, 80_000, 2_000_000)))
MEMORY = 300_000_000
"""Bytes that the agent may have resident."""


@pytest.fixture
async def lying() -> AsyncIterator[LyingCatalog]:
    async with lying_catalog() as catalog:
        yield catalog


def of(machine: Machine, **more: str) -> Machine:
    """Looks at the catalog happen when they are asked for, not by themselves."""
    machine.environ |= {"MODEL_MANAGER_CATALOG_POLL_SECONDS": "3600", **more}
    return machine


def reasons(machine: Machine) -> str:
    return " | ".join(machine.status()["readiness"]["reasons"])


def stale(machine: Machine) -> bool:
    return bool(machine.status()["assignment"].get("stale"))


def made(origin: FaultyOrigin, name: str, data: bytes, place: str | None = None, **more: Any) -> dict[str, Any]:
    return record(name, origin.put(f"{name}.safetensors", data), place or f"vae/{name}.safetensors", data) | more


async def test_f1_down_at_the_first_start_is_unknown_and_never_ready(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "one", ONE)], {"flux": ["one"]})
    machine = machine_of(lying.url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
    await lying.down()
    sampler = Sampler(machine, {"vae/one.safetensors": {sha256(ONE)}}, ready_means_all=True)
    sampler.start()
    machine.start()
    await machine.until(lambda: "cannot be reached" in reasons(machine), "the reason is shown")
    await asyncio.sleep(1.2)
    assert not machine.ready()
    assert not (machine.state / "ready.json").exists()
    assert machine.ask("/ready/flux")[0] == 503
    await lying.up()
    await machine.until_ready()
    sampler.finish()
    assert machine.files() == {"vae/one.safetensors": sha256(ONE)}
    await machine.until(lambda: converged(machine), "Redis says what the disk has")
    assert machine.leaks() == []


async def test_f2_down_with_a_cache_the_last_description_stands_in_with_its_age(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "one", ONE)], {"flux": ["one"]})
    machine = of(machine_of(lying.url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    machine.start()
    await machine.until_ready()
    described_at = machine.status()["assignment"]["described_at"]
    await machine.stop()
    await lying.down()
    machine.start()
    await machine.until_ready()
    status = machine.status()
    assert status["assignment"]["stale"] is True
    assert status["assignment"]["described_at"] == described_at
    assert any("cannot be reached" in problem for problem in status["problems"])
    assert origin.sent["/one.safetensors"] == len(ONE)
    await lying.up()
    machine.ask("/reload", "POST")
    await machine.until(lambda: not stale(machine), "fresh again")


BAD: dict[str, Any] = {
    "null": b"null",
    "data-null": b'{"data": null, "error": null}',
    "list": b"[]",
    "data-list": b'{"data": [], "error": null}',
    "empty-object": b"{}",
    "data-empty-object": b'{"data": {}, "error": null}',
    "error": b'{"data": {"name": "error", "models": []}, "error": {"code": 7}}',
    "html": b"<!DOCTYPE html><html><body>Log in</body></html>",
    "truncated": b'{"data": {"name": "truncated", "models": [',
    "cut": truncated,
    "models-null": b'{"data": {"name": "models-null", "models": null}, "error": null}',
    "models-object": b'{"data": {"name": "models-object", "models": {"0": "shared"}}, "error": null}',
    "models-numbers": b'{"data": {"name": "models-numbers", "models": [null, []]}, "error": null}',
    "nan": b'{"data": {"name": "nan", "models": [], "weight": NaN}, "error": null}',
    "twice": b'{"data": {"name": "twice", "models": [], "models": ["shared"]}, "error": null}',
    "another": b'{"data": {"name": "flux", "models": []}, "error": null}',
    "latin": b'{"data": {"name": "latin", "models": ["\xe9"]}, "error": null}',
}
"""Workflow → what the catalog says of it while it lies."""


async def test_f3_a_malformed_answer_is_refused_whole_and_the_last_good_one_stays(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "shared", ONE)], {name: ["shared"] for name in BAD})
    known = of(machine_of(lying.url, "a", WORKFLOW_IDS=",".join(BAD), MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    known.start()
    await known.until_ready()
    before = known.status()
    lying.lies |= BAD
    known.ask("/reload", "POST")
    await known.until(lambda: stale(known), "the lies were heard")
    after = known.status()
    assert after["readiness"] == before["readiness"]
    assert after["assignment"]["generation"] == before["assignment"]["generation"]
    said = " ".join(after["problems"])
    assert [name for name in BAD if f"workflow '{name}'" not in said] == []

    fresh = of(machine_of(lying.url, "b", WORKFLOW_IDS=",".join(BAD), MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    fresh.start()
    await fresh.until(lambda: fresh.status()["readiness"]["workflows"] != {}, "the assignment was looked at")
    flows = fresh.status()["readiness"]["workflows"]
    assert set(flows) == set(BAD)
    assert [name for name, flow in flows.items() if flow["ready"]] == []
    assert not fresh.ready()
    assert fresh.files() == {}


BAD_MODELS: dict[str, Any] = {
    "m-null": enveloped(None),
    "m-list": enveloped([]),
    "m-nameless": enveloped({"downloadUrl": "https://h.example/x", "saveTo": "vae"}),
    "m-urlless": enveloped({"name": "m-urlless.safetensors", "saveTo": "vae"}),
    "m-url-number": enveloped({"name": "m-url-number.safetensors", "downloadUrl": 7, "saveTo": "vae"}),
    "m-path-list": enveloped(
        {"name": "m-path-list.safetensors", "downloadUrl": "https://h.example/x", "saveTo": ["vae"]}
    ),
    "m-500": 500,
}


async def test_f3_a_malformed_model_is_refused_and_the_others_arrive(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "good", ONE)], {"flux": ["good", *BAD_MODELS], "style": ["good"]})
    lying.lies |= BAD_MODELS
    machine = of(machine_of(lying.url, WORKFLOW_IDS="flux,style", MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    machine.start()
    await machine.until(lambda: machine.ask("/ready/style")[0] == 200, "the workflow without bad models is ready")
    code, flux = machine.ask("/ready/flux")
    assert code == 503
    assert [name for name in BAD_MODELS if name not in " ".join(flux["reasons"])] == []
    assert not machine.ready()


@pytest.mark.parametrize("lie", [404, 500])
async def test_f4_one_workflow_that_cannot_be_described_narrows_nothing_and_is_flagged(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine], lie: int
) -> None:
    flows = {f"w{n}": [f"m{n}"] for n in range(5)}
    lying.offer([made(origin, f"m{n}", safetensors(50_000 + n, n)) for n in range(5)], flows)
    known = of(machine_of(lying.url, "a", WORKFLOW_IDS=",".join(flows), MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    known.start()
    await known.until_ready()
    lying.lies["w4"] = lie
    known.ask("/reload", "POST")
    await known.until(lambda: stale(known), "the failure was heard")
    status = known.status()
    assert (status["readiness"]["ready"], status["readiness"]["required"], len(known.files())) == (True, 5, 5)
    assert any("workflow 'w4'" in problem for problem in status["problems"])

    fresh = of(machine_of(lying.url, "b", WORKFLOW_IDS=",".join(flows), MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    fresh.start()
    await fresh.until(lambda: len(fresh.files()) == 4, "the others are fetched")
    await fresh.until(lambda: fresh.ask("/ready/w0")[0] == 200, "and are ready one by one")
    assert not fresh.ready()
    assert fresh.ask("/ready/w4")[0] == 503
    assert "w4" in reasons(fresh)


async def test_f5_bloated_answers_cost_a_bounded_memory_and_the_loop_stays_alive(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    bombs: dict[str, Any] = {
        "endless": endless,
        "deep": b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "million": enveloped({"name": "million", "models": [f"m{n}" for n in range(1_000_000)]}),
        "lists": b'{"data": {"name": "lists", "models": [' + b"[]," * 2_500_000 + b"[]]}}",
        "objects": b'{"data": {"name": "objects", "models": [' + b'{"":0},' * 240_000 + b"{}]}}",
    }
    lying.offer([made(origin, "one", ONE)], {"flux": ["one"], **{name: ["one"] for name in bombs}})
    lying.lies |= bombs
    machine = of(machine_of(lying.url, WORKFLOW_IDS=",".join(["flux", *bombs]), MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    slowest, known = 0.0, set[str]()
    machine.start()
    await machine.until(lambda: machine.status()["state"] != "", "it answers")
    while not set(bombs) <= known:
        begun = time.monotonic()
        known = set((await asyncio.to_thread(machine.status))["readiness"]["workflows"])
        slowest = max(slowest, time.monotonic() - begun)
        await asyncio.sleep(0.05)
    assert machine.process is not None
    peak = peak_memory(machine.process.pid)
    assert peak < MEMORY, f"{peak / 1e6:.0f} MB"
    assert slowest < 3
    await machine.until(lambda: machine.ask("/ready/flux")[0] == 200, "what was described well is served")
    assert [name for name in bombs if machine.ask(f"/ready/{name}")[0] != 503] == []
    assert psutil.Process(machine.process.pid).num_fds() < 100


async def test_f6_what_contradicts_itself_is_reported_and_overwrites_nothing(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    def inside(name: str, data: bytes, path: str) -> dict[str, Any]:
        return {"name": name, "models": [], "workflow_model": [{"is_required": True, "model": made(origin, path, data) | {"name": "same", "saveTo": "vae/same.safetensors"}}]}  # fmt: skip

    lying.offer(
        [
            made(origin, "left", ONE, "loras/one.safetensors"),
            made(origin, "right", TWO, "loras/one.safetensors"),
            made(origin, "small", ONE, "loras/case.safetensors"),
            made(origin, "large", TWO, "loras/Case.safetensors"),
            made(origin, "fine", THREE),
        ],
        {"place": ["left", "right", "fine"], "case": ["small", "large"], "good": ["fine"]},
    )
    lying.workflows["mine"] = inside("mine", ONE, "mine")
    lying.workflows["yours"] = inside("yours", TWO, "yours")
    flows = "place,case,mine,yours,good"
    machine = of(machine_of(lying.url, WORKFLOW_IDS=flows, MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "what is not in conflict is ready")
    assert machine.files() == {"vae/fine.safetensors": sha256(THREE)}
    assert set(origin.asked) == {"/fine.safetensors"}
    said = " ".join(machine.status()["problems"])
    for path in ("loras/one.safetensors", "loras/case.safetensors", "loras/Case.safetensors", "vae/same.safetensors"):
        assert path in said
    assert [name for name in ("place", "case", "mine", "yours") if machine.ask(f"/ready/{name}")[0] != 503] == []
    assert not machine.ready()


async def test_f7_an_assignment_that_flaps_neither_downloads_twice_nor_deletes(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "a", BIG), made(origin, "b", TWO)], {"left": ["a"], "right": ["b"]})
    origin.behaviours["/a.safetensors"] = paced(0.1)
    machine = of(machine_of(lying.url, MODEL_MANAGER_ALLOW_HOSTS=origin.host))
    assignment = machine.state / "assignment.json"
    machine.state.mkdir(parents=True)
    sampler = Sampler(machine, {"vae/a.safetensors": {sha256(BIG)}, "vae/b.safetensors": {sha256(TWO)}})
    sampler.start()
    for turn in range(8):
        assignment.write_text(json.dumps({"workflows": ["left" if turn % 2 == 0 else "right"]}))
        if turn == 0:
            machine.start()
            await machine.until(lambda: origin.sent["/a.safetensors"] > 0, "the first download runs")
        await asyncio.sleep(0.6)
    assignment.write_text('{"workflows": ["left", "right"]}')
    await machine.until(lambda: set(machine.status()["readiness"]["workflows"]) == {"left", "right"}, "both")
    await machine.until_ready()
    sampler.finish()
    assert machine.files() == {"vae/a.safetensors": sha256(BIG), "vae/b.safetensors": sha256(TWO)}
    assert origin.sent["/a.safetensors"] == len(BIG)
    assert origin.sent["/b.safetensors"] == len(TWO)


HASHES: dict[str, tuple[Any, str | None]] = {
    "md5": ("{md5}", "pin"),
    "sha": ("{sha}", "pin"),
    "upper": ("{SHA}", "pin"),
    "labelled": ("sha256:{sha}", "pin"),
    "autov2": ("{sha:.10}", "pin"),
    "empty": ("", "length"),
    "null-text": ("null", "length"),
    "short": ("{sha:.63}", "length"),
    "sha1": ("a" * 40, "length"),
    "number": (7, "length"),
    "wrong-md5": ("e" * 32, None),
    "wrong-autov2": ("e" * 10, None),
}
"""Model → the hash that its record says, and the evidence that it is accepted on; None when it is not."""


async def test_f8_hashes_are_typed_and_what_is_no_hash_never_counts_as_one(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    for seed, (name, (text, _)) in enumerate(HASHES.items()):
        data = safetensors(50_000 + seed, seed)
        words = {"md5": hashlib.md5(data).hexdigest(), "sha": sha256(data), "SHA": sha256(data).upper()}
        said = text.format(**words) if isinstance(text, str) else text
        lying.offer([made(origin, name, data, hash=said, fileSize="17.2GB")], {})
    lying.offer([], {"all": [*HASHES]})
    machine = of(
        machine_of(lying.url, WORKFLOW_IDS="all", MODEL_MANAGER_ALLOW_HOSTS=origin.host),
        MODEL_DOWNLOAD_CONCURRENCY="12",
    )
    machine.start()
    right = [name for name, (_, evidence) in HASHES.items() if evidence]
    await machine.until(lambda: len(machine.files()) == len(right), "what is right is here")
    found = {model["name"].partition(".")[0]: model for model in await settled(machine, len(right))}
    assert {name: found[name]["evidence"] for name in HASHES} == {
        name: evidence for name, (_, evidence) in HASHES.items()
    }
    for name in ("wrong-md5", "wrong-autov2"):
        assert f"vae/{name}.safetensors" not in machine.files()
        assert found[name]["why"]
    assert not machine.ready()


async def settled(machine: Machine, present: int) -> list[dict[str, Any]]:
    def states() -> list[str]:
        return [model["state"] for model in machine.status()["models"]]

    await machine.until(lambda: states().count("present") == present and states().count("failed") == 2, "all judged")
    models: list[dict[str, Any]] = machine.status()["models"]
    return models


async def test_f8_without_a_hash_nothing_is_fetched_where_the_owner_refuses_that(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    lying.offer([made(origin, "pinned", ONE), made(origin, "bare", TWO, hash="null")], {"all": ["pinned", "bare"]})
    machine = of(
        machine_of(lying.url, WORKFLOW_IDS="all", MODEL_MANAGER_ALLOW_HOSTS=origin.host),
        MODEL_MANAGER_UNPINNED="refuse",
    )
    machine.start()
    await machine.until(lambda: len(machine.files()) == 1, "the pinned one is here")
    await machine.until(lambda: "no hash" in reasons(machine), "the reason is shown")
    assert origin.asked["/bare.safetensors"] == 0
    assert not machine.ready()
