"""Models by machines, in letters."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.facts.mirror import copy_of
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from model_manager.fleet.matrix.board import letter_of, part_of, usual
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files

OTHER = "cd" * 32


def is_whole(body: Any, machines: int, models: int) -> bool:
    """Everybody was heard, and beats."""
    return body["total"] == models and [each["state"] for each in body["columns"]] == ["live"] * machines


async def test_each_machine_has_a_letter_for_each_model(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt", "b.pt"))
    await join("m2").begin(*files("b.pt", verified=False), *files("c.pt"))
    found = await fleet.until("/matrix", lambda body: is_whole(body, 2, 3))
    assert [column["machine_id"] for column in found["columns"]] == ["m1", "m2"]
    assert {row["model"]: row["cells"] for row in found["rows"]} == {
        "loras/a.pt": "R-",
        "loras/b.pt": "Ru",
        "loras/c.pt": "-R",
    }
    assert {row["model"]: row["single"] for row in found["rows"]} == {
        "loras/a.pt": True,
        "loras/b.pt": False,
        "loras/c.pt": True,
    }


async def test_other_bytes_under_one_name_are_a_mismatch(fleet: Client, join: Join) -> None:
    for machine in ("m1", "m2"):
        await join(machine).begin(*files("a.pt"))
    await join("m3").begin(*files("a.pt", hash=OTHER))
    await fleet.until("/matrix", lambda body: [row["cells"] for row in body["rows"]] == ["RRm"])


async def test_downloads_show_how_far_they_are(fleet: Client, join: Join) -> None:
    player = join("m1")
    await player.begin(*files("a.pt"))
    await join("m2").begin(*files("b.pt"))
    moving = {"a.pt": Phase.FETCHING, "b.pt": Phase.FETCHING, "c.pt": Phase.QUEUED}
    await player.move(
        *(Transfer(shelf=ShelfPath(folder="loras", name=n), phase=p, bytes=25, total=100) for n, p in moving.items())
    )
    found = await fleet.until("/matrix?q=b.pt", lambda body: body["rows"] and body["rows"][0]["cells"] == "dR")
    assert found["rows"][0]["moving"] == {"m1": 0.25}
    board = await fleet.get("/downloads?phase=fetching")
    assert [(each["machine_id"], each["model"], each["bytes"]) for each in board["items"]] == [
        ("m1", "loras/a.pt", 25),
        ("m1", "loras/b.pt", 25),
    ]
    assert (await fleet.get("/downloads?machine_id=m2"))["total"] == 0


async def test_a_window_is_cut_out_both_ways(fleet: Client, join: Join) -> None:
    for number in range(4):
        await join(f"m{number}").begin(*files(*(f"{n:02d}.pt" for n in range(6))))
    await fleet.until("/matrix", lambda body: is_whole(body, 4, 6))
    found = await fleet.get("/matrix?offset=4&limit=5&moffset=1&mlimit=2")
    assert [row["model"] for row in found["rows"]] == ["loras/04.pt", "loras/05.pt"]
    assert [column["machine_id"] for column in found["columns"]] == ["m1", "m2"]
    assert {row["cells"] for row in found["rows"]} == {"RR"}
    assert (await fleet.get("/matrix?offset=600"))["rows"] == []


async def test_folders_are_groups_with_their_places(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt", "b.pt"), *files("v.pt", folder="vae"))
    await fleet.until("/matrix", lambda body: body["total"] == 3)
    found = await fleet.get("/matrix?pivot=folder&limit=1")
    assert [(each["key"], each["rows"], each["offset"]) for each in found["groups"]] == [("loras", 2, 0), ("vae", 1, 2)]
    (row,) = (await fleet.get("/matrix?pivot=folder&key=vae"))["rows"]
    assert (row["model"], row["key"]) == ("vae/v.pt", "vae")


async def test_a_dead_machine_has_nothing_and_a_silent_one_is_stale(fleet: Client, join: Join, redis: Redis) -> None:
    player = join("m1")
    await player.begin(*files("a.pt"))
    await join("m2").begin(*files("a.pt"))
    await fleet.until("/matrix", lambda body: body["rows"] and body["rows"][0]["cells"] == "RR")
    await player.bye()
    await fleet.until("/matrix", lambda body: body["rows"][0]["cells"] == "-R")


def test_nobody_is_right_where_two_hashes_are_as_usual() -> None:
    one, other = (copy_of(files("a.pt", hash=hash_)[0]) for hash_ in ("ab" * 32, OTHER))
    assert usual([(one, {"m1"}), (other, {"m2"})]) is None
    assert usual([(one, {"m1", "m3"}), (other, {"m2"})]) == "ab" * 32
    assert usual([]) == ""
    assert [letter_of(copy, None) for copy in (one, other)] == ["m", "m"]
    assert [letter_of(copy, "ab" * 32) for copy in (one, other)] == ["R", "m"]
    assert [letter_of(copy, "") for copy in (one, other)] == ["R", "R"]


@pytest.mark.parametrize(
    ("body", "part"),
    [({"bytes": 5, "total": 10}, 0.5), ({"bytes": 5}, 0.0), ({"bytes": 50, "total": 10}, 1.0), ({}, 0.0)],
)
def test_a_part_is_between_nothing_and_all(body: Any, part: float) -> None:
    assert part_of(body) == part
