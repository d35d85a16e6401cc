"""What the view alone answers, asked over HTTP of an aggregator that listens to real machines."""

from __future__ import annotations

from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files

HASH = "ab" * 32


async def test_the_fleet_is_counted(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.safetensors", "b.safetensors"), flux=True, sdxl=False)
    await join("m2").begin(*files("a.safetensors"), flux=False)
    counts = await fleet.until("/fleet", lambda body: body["models"]["copies"] == 3 and body["workflows"]["assigned"])
    assert counts["machines"] == {"total": 2, "live": 2, "stale": 0, "away": 0, "ready": 0, "unsure": 0}
    assert counts["models"] == {"distinct": 2, "copies": 3, "single": 1, "bytes": 4_500_000}
    assert counts["workflows"] == {"assigned": 2, "ready": 1}


async def test_machines_are_filtered_and_paged(fleet: Client, join: Join) -> None:
    for number in range(5):
        await join(f"m{number}").begin(flux=number % 2 == 0)
    await fleet.until("/machines", lambda body: body["total"] == 5 and all(each["host"] for each in body["items"]))
    first = await fleet.get("/machines?limit=2")
    second = await fleet.get(f"/machines?limit=2&cursor={first['next']}")
    third = await fleet.get(f"/machines?limit=2&cursor={second['next']}")
    seen = [each["machine_id"] for page in (first, second, third) for each in page["items"]]
    assert seen == ["m0", "m1", "m2", "m3", "m4"]
    assert third["next"] is None
    assert [e["machine_id"] for e in (await fleet.get("/machines?ready=false"))["items"]] == ["m1", "m3"]
    assert (await fleet.get("/machines?workflow=sdxl"))["total"] == 0
    assert (await fleet.get("/machines?q=M4&state=live"))["total"] == 1


async def test_a_machine_says_everything_about_itself(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"), flux=False)
    path = ShelfPath(folder="vae", name="x.safetensors")
    await machine.move(Transfer(shelf=path, phase=Phase.FETCHING, bytes=1, total=4, speed=2e6, eta=10.0))
    body = await fleet.until("/machines/m1", lambda body: body["downloads"] and body["machine"]["models"])
    assert body["workflows"] == [{"name": "flux", "ready": False, "reasons": ["vae/x.safetensors is missing"]}]
    assert body["folders"] == [{"folder": "loras", "models": 1, "bytes": 1_500_000}]
    assert body["downloads"][0] | {"why": ""} == {
        "model": "vae/x.safetensors", "phase": "fetching", "bytes": 1, "total": 4, "speed": 2e6, "eta": 10.0,
        "attempt": 1, "why": "", "retry_at": "",
    }  # fmt: skip
    row = body["machine"]
    assert (row["downloads"], row["speed"], row["eta"], row["free"]) == (1, 2e6, 10.0, 50_000_000)
    assert body["digest"] == machine.teller.digest
    held = await fleet.get("/machines/m1/models?folder=loras")
    assert [each["name"] for each in held["items"]] == ["a.safetensors"]


async def test_who_has_a_model_is_answered_by_name_place_and_hash(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("x.safetensors"), *files("x.safetensors", folder="vae", verified=False))
    await join("m2").begin(*files("x.safetensors", folder="vae"))
    await fleet.until("/fleet", lambda body: body["models"]["copies"] == 3 and body["machines"]["live"] == 2)
    by_name = await fleet.get("/who-has?name=x.safetensors")
    assert {each["machine_id"]: len(each["files"]) for each in by_name["items"]} == {"m1": 2, "m2": 1}
    by_place = await fleet.get("/who-has?name=vae/x.safetensors")
    assert {each["machine_id"]: each["serves"] for each in by_place["items"]} == {"m1": False, "m2": True}
    by_hash = await fleet.get(f"/who-has?sha256={HASH.upper()}")
    assert [each["machine_id"] for each in by_hash["items"]] == ["m1", "m2"]
    assert (await fleet.get("/models/vae/x.safetensors"))["items"] == by_place["items"]
    assert (await fleet.get("/models/vae%2Fx.safetensors"))["items"] == by_place["items"]
    await fleet.get("/models/unheard.safetensors", 404)
    await fleet.get("/who-has", 400)


async def test_models_follow_what_machines_tell(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    machine.teller.appear(*files("b.safetensors"))
    machine.teller.vanish(*files("a.safetensors"))
    await machine.tell()
    body = await fleet.until(
        "/models?single=true&folder=loras", lambda body: body["items"][0]["name"] != "a.safetensors"
    )
    assert [each["model"] for each in body["items"]] == ["loras/b.safetensors"]
    assert (await fleet.get("/models?q=A.SAFE"))["total"] == 0


async def test_a_name_that_looks_like_a_place_is_not_counted_there(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("vae/x.safetensors", folder="checkpoints"), *files("x.safetensors", folder="vae"))
    body = await fleet.until("/models", lambda body: body["total"] == 2)
    assert [(each["model"], each["copies"]) for each in body["items"]] == [
        ("checkpoints/vae/x.safetensors", 1),
        ("vae/x.safetensors", 1),
    ]


async def test_a_machine_that_says_goodbye_is_away_and_holds_nothing(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"), flux=True)
    await fleet.until("/fleet", lambda body: body["machines"]["ready"] == 1)
    await machine.bye()
    await fleet.until("/machines?state=away", lambda body: body["total"] == 1)
    body = await fleet.get("/machines/m1")
    assert (body["machine"]["ready"], body["machine"]["models"]) == (False, 0)
    assert (await fleet.get("/who-has?name=a.safetensors"))["items"] == []
    assert (await fleet.get("/workflows"))["items"] == []


async def test_what_nobody_heard_of_is_not_found(fleet: Client) -> None:
    problem = await fleet.get("/machines/m9", 404)
    assert problem["detail"] == "There is no machine 'm9'. GET /machines lists those that were heard of."
    assert problem["type"] == "urn:model-manager:problem:no-such-machine"
