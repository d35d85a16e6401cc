"""Answers that are made once for many, and never stay when something changed."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from model_manager.facts import wire
from model_manager.fleet.remembering import FRESH, MOST, Remembering
from model_manager.serving.problems import Answer
from tests.fleet.conftest import Join
from tests.fleet.made import Now
from tests.fleet.stage import Client, files


class Asked:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.now = Now()
        self.generation = 0
        self.times = 0
        self.long = ""
        self.remembering = Remembering(lambda: self.generation, self.now)

    async def get(self, path: str = "/x?a=1", **headers: str) -> web.Response:
        request = make_mocked_request("GET", path, headers=headers)
        return await self.remembering.answer(request, self._ask)

    async def _ask(self) -> Any:
        self.times += 1
        return {"times": self.times, "long": self.long}


@pytest.fixture
def stage() -> Asked:
    return Asked()


async def test_a_question_is_answered_once_until_something_changes_or_time_passes(stage: Asked) -> None:
    for _ in range(3):
        await stage.get()
    await stage.get("/x?a=2")
    assert stage.times == 2
    stage.generation += 1
    await stage.get()
    assert stage.times == 3
    stage.now.seconds += FRESH
    await stage.get()
    assert stage.times == 4


async def test_what_changed_while_it_was_made_is_not_remembered(stage: Asked) -> None:
    async def ask() -> Any:
        stage.generation += 1
        return await stage._ask()

    for _ in range(2):
        await stage.remembering.answer(make_mocked_request("GET", "/x"), ask)
    assert stage.times == 2


async def test_a_refusal_is_not_remembered(stage: Asked) -> None:
    async def refuse() -> Any:
        raise Answer(404, "none", "There is none.")

    for _ in range(2):
        with pytest.raises(Answer):
            await stage.remembering.answer(make_mocked_request("GET", "/x"), refuse)
    await stage.get("/x")
    assert stage.times == 1


async def test_who_has_it_gets_no_second_one_and_who_takes_gzip_gets_it_packed(stage: Asked) -> None:
    stage.long = "x" * 5_000
    plain = await stage.get()
    packed = await stage.get(**{"Accept-Encoding": "gzip, br"})
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert isinstance(packed.body, bytes)
    assert wire.loads(gzip.decompress(packed.body)) == wire.loads(plain.body)  # type: ignore[arg-type]
    none = await stage.get(**{"If-None-Match": plain.headers["ETag"]})
    assert (none.status, none.body) == (304, None)
    assert stage.times == 1


async def test_it_remembers_no_more_than_it_may(stage: Asked) -> None:
    for n in range(MOST + 5):
        await stage.get(f"/x?n={n}")
    assert len(stage.remembering._made) <= MOST


async def test_who_hears_of_a_change_finds_it_in_every_answer(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    for n in range(10):
        machine.teller.appear(*files(f"late-{n}.safetensors"))
        await machine.tell()
        await fleet.until("/models?limit=1", lambda body, n=n: body["total"] == n + 2)
        for path in ("/search", "/matrix", "/models"):
            assert (await fleet.get(path))["total"] == n + 2, path
        assert (await fleet.get("/fleet"))["models"]["distinct"] == n + 2
        assert (await fleet.get("/machines"))["items"][0]["models"] == n + 2
