"""The table as a server: tags, compression, refusals."""

from __future__ import annotations

import json

import pytest

from model_manager.fleet.routes import READING, Route
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files


@pytest.mark.parametrize("path", ["/machines", "/models", "/openapi.json"])
async def test_who_has_the_answer_gets_no_second_one(fleet: Client, path: str) -> None:
    async with fleet.session.get(fleet.url + path) as answer:
        tag = answer.headers["ETag"]
    async with fleet.session.get(fleet.url + path, headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)


async def test_a_change_changes_the_tag(fleet: Client, join: Join) -> None:
    async with fleet.session.get(f"{fleet.url}/models") as answer:
        tag = answer.headers["ETag"]
    await join("m1").begin(*files("a.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    async with fleet.session.get(f"{fleet.url}/models", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 200


async def test_long_answers_are_compressed_for_those_who_take_it(fleet: Client) -> None:
    url = f"{fleet.url}/openapi.json"
    async with fleet.session.get(url, headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
    async with fleet.session.get(url, headers={"Accept-Encoding": "identity"}) as plain:
        assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize("route", READING, ids=lambda route: route.name)
async def test_a_misspelt_parameter_is_refused_by_every_route(fleet: Client, route: Route) -> None:
    path = (
        route.path.replace("{machine_id}", "m1")
        .replace("{name}", "x")
        .replace("{workflow}", "x")
        .replace("{order}", "x")
        .replace("{collection}", "x")
    )
    problem = await fleet.get(f"{path}?limitt=3", 400)
    assert "'limitt' is no parameter of this route" in problem["detail"]


async def test_head_is_answered_without_a_body(fleet: Client) -> None:
    async with fleet.session.head(f"{fleet.url}/fleet") as answer:
        assert answer.status == 200
        assert await answer.read() == b""


async def test_what_does_not_exist_is_a_problem_and_no_page(fleet: Client) -> None:
    for path, status in (("/nope", 404), ("/machines/a.b", 400), ("/machines?limit=1&limit=2", 400)):
        async with fleet.session.get(fleet.url + path) as answer:
            assert (answer.status, answer.content_type) == (status, "application/problem+json")
            assert json.loads(await answer.read())["status"] == status
    async with fleet.session.delete(
        f"{fleet.url}/machines", headers={"Authorization": "Bearer a-token-for-writes"}
    ) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_metrics_are_for_prometheus(fleet: Client, join: Join) -> None:
    await join("m1").begin(flux=True)
    await fleet.until("/fleet", lambda body: body["machines"]["ready"] == 1)
    async with fleet.session.get(f"{fleet.url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    assert 'model_manager_fleet_machines{state="live"} 1' in text
    assert 'model_manager_fleet_workflow_machines_ready{workflow="flux"} 1' in text
