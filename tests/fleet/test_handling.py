from __future__ import annotations

from tests.fleet.stage import Client


async def test_a_write_is_refused_before_its_body_is_read(fleet: Client) -> None:
    async with fleet.session.post(f"{fleet.url}/jobs", data=b"no json") as answer:
        assert answer.status == 401


async def test_a_body_that_is_no_json_is_refused(fleet: Client) -> None:
    headers = {"Authorization": "Bearer a-token-for-writes"}
    async with fleet.session.post(f"{fleet.url}/jobs", data=b"no json", headers=headers) as answer:
        assert answer.status == 415


async def test_a_route_without_a_body_leaves_one_alone(fleet: Client) -> None:
    await fleet.post("/jobs/none/cancel", {"what": "ever"}, 404)
