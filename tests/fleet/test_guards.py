from __future__ import annotations

import pytest

from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client

PUSH = {"workflows": ["flux"]}


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:8190", "LOCALHOST:9"])
async def test_addresses_and_localhost_are_us(fleet: Client, host: str) -> None:
    await fleet.get("/fleet", headers={"Host": host})


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8190", "", "localhost.evil"])
async def test_a_foreign_host_name_reads_nothing(fleet: Client, host: str) -> None:
    problem = await fleet.get("/fleet", 403, headers={"Host": host})
    assert "MODEL_MANAGER_FLEET_NAMES" in problem["detail"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[", "https://127.0.0.1"])
async def test_a_page_of_another_origin_is_refused(fleet: Client, origin: str) -> None:
    assert (await fleet.get("/fleet", 403, headers={"Origin": origin}))["type"].endswith("foreign-origin")


async def test_our_own_origin_is_not(fleet: Client) -> None:
    await fleet.get("/fleet", headers={"Origin": fleet.url})


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "é"])
async def test_a_write_needs_the_whole_token(fleet: Client, join: Join, token: str | None) -> None:
    await join("m1").begin()
    problem = await fleet.post("/machines/m1/assignment", PUSH, 401, token)
    assert TOKEN not in str(problem)


async def test_another_scheme_is_no_bearer(fleet: Client) -> None:
    await fleet.post("/assignments", PUSH, 401, None, Authorization=f"Basic {TOKEN}")
