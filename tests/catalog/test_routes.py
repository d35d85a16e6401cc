"""The document is held against the server that serves it, with questions that nobody thought of, on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from model_manager.catalog.routes import ROUTES, document

from .conftest import RECORDS, TOKEN, asking, fresh

DOCUMENT = orjson.loads(document())
ASKED = [route for route in ROUTES if route.name not in ("stream", "export") and not route.name.startswith("component")]
"""All but the endless one, text, and workflows under their second name."""


class Hosted:
    """A catalog served from a thread of its own: schemathesis asks synchronously."""

    def __init__(self, address: Path | str) -> None:
        self._address = address
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as stack:
            where = self._address
            if isinstance(where, str):
                where = await stack.enter_async_context(fresh(where, "mm_hosted"))
            client = await stack.enter_async_context(asking(where, RECORDS))
            self.url = str(client.session._base_url).rstrip("/")
            self._up.set()
            await self._stop.wait()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._up.wait(30)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    where = tmp_path_factory.mktemp("hosted") / "c.sqlite"
    with Hosted(where if request.param == "sqlite" else request.getfixturevalue("postgres")) as url:
        yield f"{url}#{request.param}"


@pytest.mark.parametrize("route", ASKED, ids=lambda route: route.name)
def test_every_answer_is_as_documented(hosted: str, route: Any) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[route.path][route.method]

    @settings(
        max_examples=8 if hosted.endswith("#sqlite") else 3, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(
            base_url=hosted.partition("#")[0],
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


def test_writes_say_that_they_need_a_token_and_questions_do_not() -> None:
    secured = {
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if "security" in operation
    }
    assert {"model_put", "workflow_delete", "import", "audit"} <= secured
    assert not secured & {"models_batch", "workflow_dependencies", "auth_for", "export"}
