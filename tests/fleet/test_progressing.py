from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from model_manager.fleet import progressing
from model_manager.fleet.telling import Telling
from model_manager.serving.problems import Answer
from tests.sources.serving import served


class Work:
    """Something that goes on, one line a look, until it raises."""

    def __init__(self, *states: dict[str, object] | Answer) -> None:
        self.states = list(states)
        self.telling = Telling()

    async def look(self) -> dict[str, object]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Answer):
            raise state
        return state

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return await progressing.progress(
            request, self.telling, self.look, lambda state: "over" if state["done"] else "goes"
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progressing, "EVERY", 0.01)


AWAY = Answer(503, "store", "The store is away.")


async def said(work: Work) -> bytes:
    async with (
        asyncio.timeout(20),
        served(work.handle) as address,
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/progress") as answer,
    ):
        return await answer.read()


async def test_a_state_is_told_once_however_often_it_is_looked_at() -> None:
    going, over = {"done": False}, {"done": True}
    told = await said(Work(going, going, going, over, over, AWAY))
    assert told == b'event: goes\ndata: {"done":false}\n\nevent: over\ndata: {"done":true}\n\n'


async def test_who_listens_to_what_is_quiet_hears_that_we_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progressing, "KEEP_ALIVE", 0.0)
    told = await said(Work({"done": False}, {"done": False}, AWAY))
    assert told == b'event: goes\ndata: {"done":false}\n\n: still here\n\n'
