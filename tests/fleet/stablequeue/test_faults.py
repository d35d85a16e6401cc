"""The 25 faults that were found in StableQueue: each is a test, here or where its subject lives.

Here: 1, 2, 4, 7, 9, 11, 12, 15, 16, 17, 18, 21, 22, 24, 25. Elsewhere, by name, in the table below; a test holds it.
"""

from __future__ import annotations

import ast
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from model_manager.decisions.digesting import EVERYTHING
from model_manager.errors import BusUnavailable
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.lore import Lore
from model_manager.fleet.models.previewing import Pictures
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.stablequeue import detail_routes as stablequeue_detail_routes
from model_manager.fleet.stablequeue import job_routes as stablequeue_job_routes
from model_manager.fleet.stablequeue import order_routes as stablequeue_order_routes
from model_manager.fleet.stablequeue import routes as stablequeue_routes
from model_manager.fleet.store import Store
from model_manager.library.contents.hashing import digest_file
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.made import Now
from tests.fleet.models.test_finding import many
from tests.fleet.replying import described, replying
from tests.fleet.stage import TOKEN, Client, files
from tests.house.tree import ROOT
from tests.stories.machine import safetensors

ELSEWHERE: Final = {
    3: "tests/fleet/stablequeue/test_models.py::test_two_files_of_one_version_stay_two",
    5: "tests/fleet/stablequeue/test_details.py::test_nsfw_by_hand_stays_what_it_is_when_another_field_is_told",
    6: "tests/fleet/stablequeue/test_taking.py::test_what_is_wrong_is_left_out_and_said",
    8: "tests/fleet/stablequeue/test_models.py::test_a_whole_inventory_forgets_what_is_gone",
    10: "tests/agent/holdings/test_noticing.py::test_what_was_changed_has_to_be_judged_anew",
    13: "tests/library/contents/test_headers.py::test_a_header_longer_than_anybody_parses_gives_its_metadata_in_little_memory",
    14: "tests/library/test_scanning.py::test_h6_linked_directories_are_followed_and_loops_end",
    19: "tests/sources/test_civitai_records.py::test_ids_are_asked_ten_thousand_at_a_time",
    20: "tests/sources/transport/test_spacing.py::test_turns_are_apart_whoever_takes_them",
    23: "tests/stories/test_faults_b_bodies.py::test_b7_a_body_that_ends_early_is_never_final",
}
"""Fault → the test that holds it: 3 versions collapse, 5 a flag falls back, 6 a strength as a size, 8 rows never leave, 10 a changed
file is not read again, 13 long headers are lost, 14 links are not seen, 19 one call a model, 20 a racing limiter, 23 downloads
onto the final name."""

AUTH = {"Authorization": f"Bearer {TOKEN}"}
SAME = safetensors(1_200_000)


def at(place: str) -> str:
    return f"/api/v1/models/{number_of(place)}"


async def live(fleet: Client, join: Join, *entries: Any) -> None:
    await join("m1").begin(*entries)
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == len({(e.folder, e.name) for e in entries}))


async def put(fleet: Client, path: str, body: Any) -> Any:
    async with fleet.session.put(fleet.url + path, json=body, headers=AUTH) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def test_every_fault_is_held_once_and_where_the_table_says() -> None:
    here = {
        int(name[len("test_stablequeue_fault_") :][:2])
        for name in globals()
        if re.match(r"test_stablequeue_fault_\d\d_", name)
    }
    assert here | ELSEWHERE.keys() == set(range(1, 26))
    assert not here & ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in found, place


def test_stablequeue_fault_01_two_files_that_begin_alike_have_an_autov2_each(tmp_path: Path) -> None:
    found = set()
    for number in range(2):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(SAME + bytes([number]))
        found.add(digest_file(str(file), EVERYTHING)[1].named("autov2"))
    assert len(found) == 2


async def test_stablequeue_fault_02_everything_can_be_told_again_after_a_reset(fleet: Client, join: Join) -> None:
    await live(fleet, join, *files("a.pt"))
    await fleet.post("/api/v1/models/reset-database", None)
    await put(fleet, f"{at('loras/a.pt')}/fields", {"notes": "again"})
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": ["loras/b.pt"]})
    assert (await fleet.get("/api/v1/models"))["total"] == 2


async def test_stablequeue_fault_04_a_type_that_nobody_told_can_be_told_later(fleet: Client, join: Join) -> None:
    await live(fleet, join, *files("x.gguf", folder="odd"))
    assert (await fleet.get(at("odd/x.gguf")))["model"]["type"] == "odd"
    await put(fleet, f"{at('odd/x.gguf')}/fields", {"type": "checkpoint"})
    assert (await fleet.get("/models?type=checkpoint"))["total"] == 1


def test_stablequeue_fault_07_a_word_that_a_narrow_schema_never_knew_can_be_kept() -> None:
    """Our store has no list of allowed words for what is told; only for who told it."""
    schema = (ROOT / "model_manager/fleet/schema.sql").read_text()
    assert "value TEXT NOT NULL, -- JSON" in schema
    assert re.findall(r"CHECK \((\w+) IN", schema.split("CREATE TABLE IF NOT EXISTS held")[0]) == ["teller"]


async def test_stablequeue_fault_09_duplicates_are_named_and_none_is_deleted(fleet: Client, join: Join) -> None:
    await live(fleet, join, *files("a.pt", "b.pt"))
    await fleet.post("/api/v1/models/cleanup-duplicates", None)
    rows = (await fleet.get("/api/v1/models"))["models"]
    assert [(row["is_duplicate"], row["duplicate_group_size"], row["duplicate_group_index"]) for row in rows] == [
        (True, 2, 0),
        (True, 2, 1),
    ]


async def test_stablequeue_fault_11_available_is_who_has_it_now_and_not_that_a_row_exists(
    fleet: Client, join: Join
) -> None:
    await live(fleet, join, *files("a.pt"))
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": ["loras/b.pt"]})
    rows = {row["filename"]: row for row in (await fleet.get("/api/v1/models"))["models"]}
    assert (rows["a.pt"]["verified"], rows["a.pt"]["server_count"]) == (1, 1)
    assert (rows["b.pt"]["verified"], rows["b.pt"]["server_count"]) == (0, 1)
    (server,) = (await fleet.get(f"{at('loras/b.pt')}/availability"))["servers"]
    assert (server["state"], server["verified"]) == ("claimed", False)


async def test_stablequeue_fault_12_nobody_speaks_for_a_machine_of_ours_and_a_claim_says_when(
    fleet: Client, join: Join
) -> None:
    await live(fleet, join, *files("a.pt"))
    await fleet.post("/api/v1/servers/m1/models/sync", {"models": []}, 409)
    await fleet.post(f"{at('loras/a.pt')}/availability", None, **{"x-server-id": "forge-1"})
    servers = (await fleet.get(f"{at('loras/a.pt')}/availability"))["servers"]
    assert [(each["server_id"], bool(each["last_seen"])) for each in servers] == [("m1", True), ("forge-1", True)]


async def test_stablequeue_fault_15_every_kind_of_model_has_a_type(fleet: Client, join: Join) -> None:
    kinds = {"vae": "v.safetensors", "controlnet": "c.pth", "upscale_models": "u.pth", "unet": "x.gguf"}
    await live(fleet, join, *(entry for folder, name in kinds.items() for entry in files(name, folder=folder)))
    assert {row["type"] for row in (await fleet.get("/api/v1/models"))["models"]} == set(kinds)


async def test_stablequeue_fault_16_what_is_told_beside_a_file_never_is_its_identity(
    fleet: Client, join: Join, shared: Server
) -> None:
    await live(fleet, join, *files("a.pt"))
    evil = [
        {"field": name, "value": "../../etc/passwd", "teller": "forge", "at": ""}
        for name in ("filename", "relativePath", "local_path", "id", "hash_sha256", "size")
    ]
    async with replying(shared.url, "m1", lambda order: described(order, told=evil)):
        await fleet.post(f"{at('loras/a.pt')}/rescan", {})
    row = (await fleet.get(at("loras/a.pt")))["model"]
    assert (row["filename"], row["local_path"], row["id"]) == ("a.pt", "/models/loras/", number_of("loras/a.pt"))
    assert row["hash_sha256"] == "ab" * 32
    assert (await fleet.get("/api/v1/loras"))[0]["filename"] == "a.pt"


async def test_stablequeue_fault_17_a_version_that_is_here_is_known_to_be_here(fleet: Client, join: Join) -> None:
    await live(fleet, join, *files("a.pt"))
    await put(fleet, f"{at('loras/a.pt')}/fields", {"civitai_version_id": "728915"})
    said = await fleet.post("/api/v1/checkpoint-verify", {"civitai_version_id": "728915"}, token=None)
    assert (said["available"], said["model_info"]["filename"]) == (True, "a.pt")


async def test_stablequeue_fault_18_one_model_costs_no_look_at_all_of_them(tmp_path: Path) -> None:
    seen, store = many(50_000), Store(tmp_path / "fleet.sqlite")
    registry = Registry(seen, Finding(seen), store, Lore())
    place = seen.order()[40_000]
    await registry.place(str(number_of(place)))
    begun = time.process_time()
    for _ in range(200):
        assert await registry.place(str(number_of(place))) == place
    assert time.process_time() - begun < 2.0  # 50,000 rows looked through each time take 10
    await store.close()


async def test_stablequeue_fault_21_a_scan_is_answered_at_once_and_a_second_one_is_no_second_walk(
    fleet: Client, join: Join
) -> None:
    await live(fleet, join, *files("a.pt"))
    one = await fleet.post("/api/v1/models/scan", {}, 202)
    two = await fleet.post("/api/v1/models/scan", {}, 202)
    state = await fleet.get("/api/v1/models/scan")
    assert one["order"] != two["order"] == state["order"]
    assert [each["machine_id"] for each in state["machines"]] == ["m1"]


async def test_stablequeue_fault_22_no_file_is_too_large_for_a_hash(fleet: Client, join: Join) -> None:
    huge = tuple(replace(each, size=200 * 10**9, hash="") for each in files("a.pt"))
    await live(fleet, join, *huge)
    said = (await fleet.get(f"{at('loras/a.pt')}/hash-info"))["fileInfo"]
    assert (said["canCalculateHash"], said["sizeBytes"], said["estimatedTime"] > 60) == (True, 200 * 10**9, True)


def test_stablequeue_fault_24_nothing_is_changed_without_a_token() -> None:
    tables = (stablequeue_routes, stablequeue_job_routes, stablequeue_detail_routes, stablequeue_order_routes)
    routes = [route for table in tables for route in table.ROUTES]
    open_ = {route.name for route in routes if route.method != "GET" and not route.needs_token}
    assert open_ == {"stablequeue_verify"}, "and that one only looks"


async def test_stablequeue_fault_25_metadata_are_asked_for_by_hash_and_never_by_name(fleet: Client, join: Join) -> None:
    await live(fleet, join, *files("a.pt", hash=""))
    for path, status in (("refresh-metadata", 409), ("fetch-from-civitai", 400)):
        refused = await fleet.post(f"{at('loras/a.pt')}/{path}", {"modelName": "popular model"}, status)
        assert "SHA-256 is not known" in refused["detail"]


async def test_l7_a_picture_while_redis_is_away_is_a_refusal_that_says_to_wait() -> None:
    class Shelf:
        def sha256(self, place: str) -> str:
            return ""

        def holders(self, place: str) -> dict[str, Any]:
            return {"m1": [type("Copy", (), {"path": "/x"})]}

    async def away(*_: Any) -> bytes | None:
        raise BusUnavailable(why="away")

    seen = many(1)
    asking = Enquiring(seen, away)
    asking.holder = lambda machines, number: "m1"  # type: ignore[method-assign]
    shelf: Any = Shelf()
    pictures = Pictures(shelf, asking, Now())
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            await pictures.of("loras/a")
