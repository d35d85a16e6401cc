from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web as server

from model_manager.agent.holdings import inquiring as module
from model_manager.agent.holdings.inquiring import SERVICE, Inquiring
from model_manager.facts.description import Lore, Told
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Digests
from model_manager.index.reading import Shop
from model_manager.settings import load
from model_manager.sources.civitai_records import IDS, RECORDS
from tests.agent.stage import AT, Stage
from tests.sources.serving import Handler
from tests.sources.test_civitai_records import JPEG, Service, asking, saying, sha
from tests.sources.test_civitai_versions import record

A, B = "loras/a.safetensors", "loras/b.safetensors"
DAY = 86_400.0
KNOWN, UNKNOWN = sha(4), sha(5)
"""The service knows files whose number is even."""


@asynccontextmanager
async def inquiring(scene: Stage, handler: Handler) -> AsyncIterator[Inquiring]:
    async with asking(handler) as records:
        yield Inquiring(scene.board, scene.shelves, scene.index, records)


async def holds(scene: Stage, place: str, sha256: str) -> str:
    held = await scene.holds(place, place.encode())
    await scene.shelves.enter(_with(held, sha256))
    return held.file


def _with(held: Any, sha256: str) -> Any:
    return replace(held, digests=Digests(sha256=sha256))


def detail(scene: Stage, sha256: str) -> Any:
    with Shop.open(scene.state / "index.sqlite") as shop:
        return shop.show(shop.find(sha256)[0].content_id)


def words(scene: Stage, sha256: str) -> dict[str, str]:
    return {word.field: word.value for word in detail(scene, sha256).told if word.teller == "civitai api"}


async def unasked(scene: Stage, after: float = 0.0) -> set[str]:
    """What would be asked so many seconds from now."""
    now = scene.clock.epoch_ms() / 1000 + after
    return {question.sha256 for question in await scene.index.unasked(SERVICE, now=now, limit=100)}


async def test_what_is_known_is_told_with_its_addresses_and_not_asked_again_for_a_month(scene: Stage) -> None:
    await holds(scene, A, KNOWN)
    service = Service()
    async with inquiring(scene, service) as loop:
        assert await loop.ask() == module.REST
        assert await loop.ask() == module.REST
    assert len(service.asked) == 2
    assert words(scene, KNOWN)["civitai_version_id"] == "4"
    assert "https://civitai.com/api/download/models/7" in {each.url for each in detail(scene, KNOWN).addresses}
    assert await unasked(scene, 29 * DAY) == set()
    assert await unasked(scene, 31 * DAY) == {KNOWN}


async def test_what_is_unknown_is_not_asked_again_before_it_is_due(scene: Stage) -> None:
    await holds(scene, A, UNKNOWN)
    service = Service()
    async with inquiring(scene, service) as loop:
        await loop.ask()
        await loop.ask()
    assert len(service.asked) == 1
    assert words(scene, UNKNOWN) == {}
    assert await unasked(scene, 6 * DAY) == set()
    assert await unasked(scene, 8 * DAY) == {UNKNOWN}


async def test_that_a_model_is_not_known_any_more_overwrites_nothing_good(scene: Stage, monkeypatch) -> None:
    await holds(scene, A, KNOWN)
    async with inquiring(scene, Service()) as loop:
        await loop.ask()
    before = words(scene, KNOWN)
    monkeypatch.setattr(scene.clock, "epoch_ms", lambda: int((1_700_000_000 + 40 * DAY) * 1000))
    async with inquiring(scene, saying({"error": "Model not found"}, 404)) as loop:
        assert await loop.ask() == module.REST
    assert await unasked(scene) == set()
    assert before
    assert words(scene, KNOWN) == before


@pytest.mark.parametrize(
    ("status", "headers", "least"), [(429, {"Retry-After": "120"}, 120), (503, {}, 1), (500, {"Retry-After": "7"}, 1)]
)
async def test_a_failure_is_waited_out_and_nothing_is_remembered_of_it(
    scene: Stage, logged: list[str], status: int, headers: dict[str, str], least: float
) -> None:
    await holds(scene, A, KNOWN)
    asked: list[str] = []

    async def failing(request: server.Request) -> server.Response:
        asked.append(request.path)
        return server.json_response({}, status=status, headers=headers)

    async with inquiring(scene, failing) as loop:
        wait = await loop.ask()
        assert wait >= least
        assert 0 < await loop.ask() <= wait
        assert len(asked) == 1
        scene.clock.seconds += wait + 1
    assert await unasked(scene) == {KNOWN}
    assert any("could not be asked" in line for line in logged)


async def test_after_a_failure_the_same_questions_are_put_again(scene: Stage) -> None:
    await holds(scene, A, KNOWN)
    service, fails = Service(), [True]

    async def mending(request: server.Request) -> server.Response:
        if fails.pop() if fails else False:
            return server.json_response({}, status=503)
        return await service(request)

    async with inquiring(scene, mending) as loop:
        scene.clock.seconds += await loop.ask() + 1
        assert await loop.ask() == module.REST
    assert words(scene, KNOWN)


async def test_what_was_answered_before_a_failure_is_kept(scene: Stage) -> None:
    await holds(scene, A, KNOWN)
    await holds(scene, B, UNKNOWN)
    service = Service()

    async def half(request: server.Request) -> server.Response:
        return await service(request) if request.path == IDS else server.json_response({}, status=503)

    async with inquiring(scene, half) as loop:
        assert await loop.ask() < module.REST
    assert await unasked(scene) == {KNOWN}


async def test_two_files_of_one_content_are_one_question_and_both_are_told(scene: Stage) -> None:
    first = await holds(scene, A, KNOWN)
    os.link(first, scene.store / B)
    await scene.shelves.enter(_with(scene.held(B), KNOWN))
    service = Service()
    async with inquiring(scene, service) as loop:
        await loop.ask()
    assert service.asked == [[KNOWN.upper()], [KNOWN.upper()]]
    assert {known.file for known in detail(scene, KNOWN).locations} == {first, str(scene.store / B)}
    assert words(scene, KNOWN)["civitai_version_id"] == "4"


async def test_of_a_person_and_a_service_who_say_something_both_words_stay(scene: Stage) -> None:
    file = await holds(scene, A, KNOWN)
    mine = Told(field="civitai_version_id", value="9", teller="person", at=AT)
    await scene.index.learn([(file, Lore(file=file, told=(mine,)))], at=AT)
    async with inquiring(scene, Service()) as loop:
        await loop.ask()
    assert mine in detail(scene, KNOWN).told
    assert words(scene, KNOWN)["civitai_version_id"] == "4"


async def test_a_file_that_left_while_it_was_asked_about_is_asked_about_when_it_is_back(scene: Stage) -> None:
    file = await holds(scene, A, KNOWN)
    held, service = scene.shelves.held[file], Service()

    async def leaving(request: server.Request) -> server.Response:
        if request.path == RECORDS and len(service.asked) == 1:
            await scene.shelves.change(Diff(vanished=(held,)))
        return await service(request)

    async with inquiring(scene, leaving) as loop:
        await loop.ask()
        await scene.shelves.change(Diff(appeared=(held,)))
        assert await unasked(scene) == {KNOWN}
        await loop.ask()
    assert words(scene, KNOWN)


async def test_ten_thousand_and_one_questions_are_two_rounds(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await scene.holds(A)
    many = tuple(
        replace(
            one,
            file=f"{scene.store}/loras/{number}.safetensors",
            fingerprint=replace(one.fingerprint, inode=10**6 + number),
            digests=Digests(sha256=sha(2 * number + 1)),
        )
        for number in range(10_001)
    )
    await scene.shelves.change(Diff(appeared=many, vanished=(one,)))
    service = Service()
    async with inquiring(scene, service) as loop:
        assert await loop.ask() == 0.0
        assert await loop.ask() == module.REST
    assert list(map(len, service.asked)) == [10_000, 1]


class Shown(Service):
    """A service that shows a picture of every model; `served` are the pictures that were fetched."""

    def __init__(self, data: bytes = JPEG) -> None:
        super().__init__()
        self.data = data
        self.served: list[str] = []

    async def __call__(self, request: server.Request) -> server.Response:
        if request.method == "GET":
            self.served.append(request.path)
            return server.Response(body=self.data, content_type="image/jpeg")
        if request.path == RECORDS:
            images = [{"url": f"http://{request.host}/picture.jpeg", "type": "image"}]
            hashes = await request.json()
            return server.json_response([record(int(each, 16), each.lower()) | {"images": images} for each in hashes])
        return await super().__call__(request)


async def test_a_model_of_ours_gets_its_preview_and_one_that_has_one_keeps_it(scene: Stage) -> None:
    await holds(scene, A, KNOWN)
    await holds(scene, B, sha(6))
    mine = scene.put("loras/b.png", b"\x89PNG\r\n\x1a\nmine")
    service = Shown()
    async with inquiring(scene, service) as loop:
        await loop.ask()
    assert service.served == ["/picture.jpeg"]
    assert (scene.store / "loras/a.preview.jpeg").read_bytes() == JPEG
    assert sorted(path.name for path in mine.parent.iterdir() if "preview" in path.name) == ["a.preview.jpeg"]
    assert mine.read_bytes() == b"\x89PNG\r\n\x1a\nmine"


async def test_nothing_is_written_into_a_directory_that_is_only_read(scene: Stage) -> None:
    await holds(scene, A, KNOWN)
    scene.configure(MODEL_MANAGER_STORE=str(scene.state / "other"))
    service = Shown()
    async with inquiring(scene, service) as loop:
        await loop.ask()
    assert (service.served, words(scene, KNOWN)["civitai_version_id"]) == ([], "4")
    assert [path.name for path in (scene.store / "loras").iterdir()] == ["a.safetensors"]


async def test_without_a_store_of_ours_everything_is_learnt_and_nothing_written(
    scene: Stage, logged: list[str]
) -> None:
    await holds(scene, A, KNOWN)
    scene.board.settings = load({"MODEL_MANAGER_STATE_DIR": str(scene.state)})
    async with inquiring(scene, Shown()) as loop:
        assert await loop.ask() == module.REST
    assert words(scene, KNOWN)["civitai_version_id"] == "4"
    assert not any("could not be asked" in line for line in logged)


async def test_a_picture_that_is_none_is_left_out_and_the_rest_is_learnt(scene: Stage, logged: list[str]) -> None:
    await holds(scene, A, KNOWN)
    async with inquiring(scene, Shown(b"<html>")) as loop:
        assert await loop.ask() == module.REST
    assert words(scene, KNOWN)["civitai_version_id"] == "4"
    assert any("preview could not be fetched" in line for line in logged)
    assert await unasked(scene) == set()


async def test_f3_what_cannot_be_read_is_no_answer_and_asked_again_in_a_day(scene: Stage, logged: list[str]) -> None:
    await holds(scene, A, KNOWN)
    await holds(scene, B, sha(6))
    service = Service()

    async def odd(request: server.Request) -> server.StreamResponse:
        if request.path == IDS:
            return await service(request)
        return server.json_response([record(6, sha(6)), "no record"])

    async with inquiring(scene, odd) as loop:
        await loop.ask()
    ((_, answer),) = detail(scene, KNOWN).answers
    assert answer.outcome == "doubtful"
    assert any("is asked again later" in line for line in logged)
    assert await unasked(scene, 0.9 * DAY) == set()
    assert await unasked(scene, 1.1 * DAY) == {KNOWN}
