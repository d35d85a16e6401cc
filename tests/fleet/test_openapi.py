"""The document is held against the server that serves it, with questions that nobody thought of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from redis.asyncio import Redis
from schemathesis import checks

from model_manager.bus.connection import connect
from model_manager.fleet.openapi import document
from model_manager.fleet.routes import ROUTES
from tests.bus.servers import Server
from tests.fleet.stage import TOKEN, Player, files, served, settings_for

DOCUMENT = orjson.loads(document())
ASKED = [route for route in ROUTES if route.content != "text/event-stream"]
"""All but the endless ones."""


class Hosted:
    """A fleet with two machines, served from a thread of its own: schemathesis asks synchronously."""

    def __init__(self, server: Server, state: Path) -> None:
        self._server, self._state = server, state
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        redis: Redis = connect(self._server.url)
        await Player(redis, "m1").begin(*files("a.safetensors", "b.safetensors"), flux=True)
        await Player(redis, "m2").begin(*files("a.safetensors"), flux=False)
        async with served(settings_for(self._server.url, self._state)) as client:
            await client.exact()
            self.url = client.url
            self._up.set()
            await self._stop.wait()
        await redis.aclose()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._up.wait(30)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server("valkey")
    with Hosted(server, tmp_path_factory.mktemp("fleet")) as url:
        yield url
    server.close()


@pytest.mark.parametrize("route", ASKED, ids=lambda route: route.name)
def test_every_answer_is_as_documented(hosted: str, route: Any) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation = schema[route.path][route.method]

    @settings(
        max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(
            base_url=hosted,
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=[checks.positive_data_acceptance],
        )

    ask()


def test_every_route_is_in_the_document_once() -> None:
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert documented == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere() -> None:
    known = DOCUMENT["components"]["schemas"].keys()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    assert {reference.rpartition("/")[2] for reference in references(DOCUMENT)} <= known


def test_a_record_says_in_the_document_what_its_fields_mean() -> None:
    row = DOCUMENT["components"]["schemas"]["MachineRow"]
    assert row["properties"]["state"] == {"enum": ["live", "stale", "away"], "title": "State", "type": "string"}
    assert set(row["required"]) == set(row["properties"])
