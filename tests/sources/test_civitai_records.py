from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import (
    BadUrl,
    Broken,
    NotAuthorized,
    NotFound,
    NotPublic,
    OriginUnavailable,
    Refused,
    StrangeAnswer,
)
from model_manager.sources import civitai_records
from model_manager.sources.civitai_records import IDS, RECORDS, CivitaiRecords, civitai_records_at, picture_of
from model_manager.sources.transport.spacing import Spacing
from tests.sources.serving import Handler, reaching, served
from tests.sources.test_asking import Time
from tests.sources.test_civitai_versions import A, record

CANARY = "civitai_CANARY"
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 100


def sha(number: int) -> str:
    return f"{number:064x}"


@asynccontextmanager
async def asking(
    handler: Handler, *, time: Time | None = None, token: str | None = None
) -> AsyncIterator[CivitaiRecords]:
    """A client of a server that gives every request to `handler`; without `time` it does not wait between questions."""
    spacing = Spacing(1.0, clock=time.clock, sleep=time.sleep) if time else Spacing(1e6)
    async with served(handler) as host, reaching(host) as web, aiohttp.ClientSession(auto_decompress=False) as session:
        secret = SecretStr(token) if token else None
        yield CivitaiRecords(session, web, f"http://{host}/", secret, spacing=spacing, previews=Spacing(1e6))


class Service:
    """The two bulk routes as CivitAI has them, for files whose number is even; `most` hashes at once."""

    def __init__(self, most: int = 100) -> None:
        self.most = {RECORDS: most, IDS: most * 100}
        self.asked: list[list[str]] = []

    async def __call__(self, request: server.Request) -> server.Response:
        hashes = await request.json()
        self.asked.append(hashes)
        if len(hashes) > self.most[request.path] or any(text != text.upper() or len(text) != 64 for text in hashes):
            return server.json_response({"error": "Too many hashes"}, status=400)
        even = [text for text in hashes if int(text, 16) % 2 == 0]
        if request.path == IDS:
            return server.json_response([{"modelVersionId": int(text, 16), "hash": text} for text in reversed(even)])
        return server.json_response([record(int(text, 16), text.lower()) for text in reversed(even)])


def saying(
    answer: Any, status: int = 200, headers: dict[str, str] | None = None, kind: str = "application/json"
) -> Handler:
    async def handler(_request: server.Request) -> server.Response:
        if isinstance(answer, (str, bytes)):
            data = answer.encode() if isinstance(answer, str) else answer
            return server.Response(body=data, status=status, headers=headers, content_type=kind)
        return server.json_response(answer, status=status, headers=headers)

    return handler


async def records_of(handler: Handler, *hashes: str, **more: Any) -> list[Any]:
    async with asking(handler, **more) as client:
        return [answer async for answer in client.records(hashes)]


async def test_many_files_are_asked_about_a_hundred_at_a_time_in_capitals() -> None:
    service = Service()
    answers = await records_of(service, *map(sha, range(10, 260)), sha(10))
    assert [len(asked) for asked in service.asked] == [100, 100, 50]
    found = {sha256 for answer in answers for sha256 in answer.found}
    absent = {sha256 for answer in answers for sha256 in answer.absent}
    assert found == set(map(sha, range(10, 260, 2)))
    assert absent == set(map(sha, range(11, 260, 2)))


async def test_ids_are_asked_ten_thousand_at_a_time() -> None:
    service = Service()
    async with asking(service) as client:
        answers = [answer async for answer in client.ids(map(sha, range(12_000)))]
    assert [len(asked) for asked in service.asked] == [10_000, 2_000]
    assert answers[0].found[sha(4)] == (4,)
    assert len(answers[1].absent) == 1_000


async def test_a_server_with_a_lower_limit_is_asked_in_halves_from_then_on() -> None:
    service = Service(most=30)
    answers = await records_of(service, *map(sha, range(100)))
    assert [len(asked) for asked in service.asked] == [100, 50, 25, 25, 25, 25]
    assert sum(len(answer.found) for answer in answers) == 50


async def test_f5_an_answer_that_is_too_large_is_asked_for_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(civitai_records, "MAX_ANSWER", 4_000)
    service = Service()
    answers = await records_of(service, *map(sha, range(0, 40, 2)))
    assert sum(len(answer.found) for answer in answers) == 20
    assert min(map(len, service.asked)) < 20


@pytest.mark.parametrize(
    "text", ["[" + "[]," * 600_000 + "[]]", '["' + "x" * 40_000_000 + '"]'], ids=["values", "bytes"]
)
async def test_f5_a_bomb_about_one_file_is_a_failure(text: str) -> None:
    with pytest.raises(StrangeAnswer, match="too much"):
        await records_of(saying(text), A)


async def test_questions_are_a_second_apart() -> None:
    time = Time()
    await records_of(Service(), *map(sha, range(250)), time=time)
    assert time.slept == [1.0, 1.0]


async def test_nothing_to_ask_is_not_asked() -> None:
    service = Service()
    assert await records_of(service) == []
    assert service.asked == []


async def test_what_is_no_sha256_is_our_own_mistake() -> None:
    for text in ("", "abc", "g" * 64, A + "a"):
        with pytest.raises(Broken):
            await records_of(Service(), text)


async def test_a_404_that_says_so_is_a_negative_answer() -> None:
    (answer,) = await records_of(saying({"error": "Model not found"}, 404), A)
    assert answer.absent == {A}


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [("<html>", 404, "text/html"), ("", 404, "text/plain"), ([], 404, "application/json"), ("{}", 404, "application/json"), ("", 405, "text/plain")],
)  # fmt: skip
async def test_f3_a_mirror_without_the_route_is_no_negative_answer(answer: Any, status: int, kind: str) -> None:
    with pytest.raises(StrangeAnswer):
        await records_of(saying(answer, status, kind=kind), A)


@pytest.mark.parametrize(
    "answer",
    ["", "{", "null", '{"items": []}', "7", "NaN", '[{"id": 1, "id": 2}]', "[" * 100_000, b"\xff", [1, 2], [{"id": 1}], '[""]'],
)  # fmt: skip
async def test_f3_an_answer_of_another_form_is_a_failure_that_says_so(answer: Any) -> None:
    with pytest.raises(StrangeAnswer, match="a form that this version does not know"):
        await records_of(saying(answer), A)


@pytest.mark.parametrize("status", [200, 403, 401])
async def test_b9_a_page_for_people_is_a_matter_of_waiting(status: int) -> None:
    with pytest.raises(OriginUnavailable):
        await records_of(saying("<html>prove that you are human", status, kind="text/html"), A, token=CANARY)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
@pytest.mark.parametrize(("header", "wait"), [("120", 120.0), ("", None), ("1000000000", 3600.0), ("-5", None)])
async def test_b11_it_says_how_long_to_wait(status: int, header: str, wait: float | None) -> None:
    with pytest.raises(OriginUnavailable) as caught:
        await records_of(saying("", status, {"Retry-After": header}), A)
    assert caught.value.retry_after == wait


async def test_b11_nothing_is_asked_before_the_wait_is_over() -> None:
    time, seen = Time(), list[str]()

    async def handler(request: server.Request) -> server.Response:
        seen.append(request.path)
        return server.Response(status=429, headers={"Retry-After": "50"})

    async with asking(handler, time=time) as client:
        for _ in range(2):
            with pytest.raises(OriginUnavailable):
                [answer async for answer in client.records([A])]
        time.now += 20
        with pytest.raises(OriginUnavailable) as caught:
            [answer async for answer in client.ids([A])]
        assert caught.value.retry_after == 30
        assert len(seen) == 1
        time.now += 31
        with pytest.raises(OriginUnavailable):
            [answer async for answer in client.records([A])]
        assert len(seen) == 2


async def test_what_came_before_a_failure_is_handed_out() -> None:
    service = Service()

    async def failing(request: server.Request) -> server.Response:
        return server.Response(status=503) if len(service.asked) == 2 else await service(request)

    got: list[Any] = []
    async with asking(failing) as client:

        async def keep() -> None:
            async for answer in client.records(map(sha, range(250))):
                got.append(answer)

        with pytest.raises(OriginUnavailable):
            await keep()
    assert len(got) == 2


async def test_nobody_there_is_a_matter_of_waiting(unused_tcp_port: int) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"
    async with reaching() as web, civitai_records_at(address, web=web) as client:
        with pytest.raises(OriginUnavailable, match="Connection refused"):
            [answer async for answer in client.records([A])]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_not_accepted_says_which_setting(status: int) -> None:
    with pytest.raises(NotAuthorized, match="Set CIVITAI_TOKEN") as caught:
        await records_of(saying({"error": "no"}, status), A, token=CANARY)
    assert CANARY not in str(caught.value)
    with pytest.raises(OriginUnavailable):
        await records_of(saying({"error": "no"}, status), A)


async def test_k5_the_token_is_a_header_over_tls_to_the_one_host_and_nowhere_else(authority: Any) -> None:
    seen: list[tuple[str | None, str]] = []

    async def handler(request: server.Request) -> server.Response:
        seen.append((request.headers.get("Authorization"), str(request.rel_url)))
        return server.json_response([])

    await records_of(handler, A, token=CANARY)
    async with (
        served(handler, authority.server("127.0.0.1")) as host,
        reaching() as web,
        civitai_records_at(f"https://{host}", SecretStr(CANARY), web=web, ca_file=authority.ca_file) as client,
    ):
        [answer async for answer in client.ids([A])]
    assert seen == [(None, RECORDS), (f"Bearer {CANARY}", IDS)]


async def test_b14_a_redirect_is_not_followed_but_named() -> None:
    headers = {"Location": "https://evil.example/x?secret=1"}
    with pytest.raises(StrangeAnswer, match=r"answered 302 to https://evil\.example/x:?[^?]*$"):
        await records_of(saying("", 302, headers), A, token=CANARY)


async def test_a_compressed_answer_is_refused() -> None:
    with pytest.raises(StrangeAnswer, match="compressed"):
        await records_of(saying("[]", headers={"Content-Encoding": "gzip"}), A)


async def test_an_answer_that_breaks_off_is_a_matter_of_waiting() -> None:
    async def cut(request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"[")
        assert request.transport is not None
        request.transport.close()
        return response

    with pytest.raises(OriginUnavailable):
        await records_of(cut, A)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF89a", "gif"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"\x00\x00\x00\x20ftypisom", "mp4"), (b"\x00\x00\x00\x20ftypavif", None), (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<html>", None), (b"<svg", None), (b"", None), (b"%PDF", None), (b"\x80\x02", None),
    ],
)  # fmt: skip
def test_k6_a_picture_is_what_its_first_bytes_say(head: bytes, kind: str | None) -> None:
    assert picture_of(head) == kind


async def preview_of(handler: Handler) -> Any:
    async with asking(handler, token=CANARY) as client:
        return await client.fetch_preview(f"http://{client.host}/x/width=450/film.jpeg")


async def test_a_preview_is_its_bytes_and_what_they_are() -> None:
    found = await preview_of(saying(b"\x00\x00\x00\x20ftypisom" + b"x" * 1000, kind="image/jpeg"))
    assert (found.kind, len(found.data)) == ("mp4", 1012)


async def test_k5_a_picture_is_asked_for_without_the_token() -> None:
    seen: list[str | None] = []

    async def handler(request: server.Request) -> server.Response:
        seen.append(request.headers.get("Authorization"))
        return server.Response(body=JPEG)

    await preview_of(handler)
    assert seen == [None]


async def test_b6_a_picture_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(civitai_records, "MAX_PREVIEW", 200_000)
    sent = 0

    async def endless(request: server.Request) -> server.StreamResponse:
        nonlocal sent
        response = server.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 100_000_000:
                await response.write(JPEG * 100)
                sent += 100 * len(JPEG)
        except ConnectionError:
            return response
        return response

    with pytest.raises(Refused, match="larger than 200000 bytes"):
        await preview_of(endless)
    assert sent < 50_000_000
    with pytest.raises(Refused, match="larger than 200000 bytes"):
        await preview_of(saying(JPEG * 10_000, kind="image/jpeg"))


async def test_b9_a_page_is_no_picture() -> None:
    with pytest.raises(Refused, match="no picture that is known"):
        await preview_of(saying("<html>", kind="text/html"))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (401, NotPublic),
        (403, NotPublic),
        (503, OriginUnavailable),
        (206, Refused),
        (302, OriginUnavailable),
    ],
)
async def test_a_picture_that_is_not_shown_says_why(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        await preview_of(saying(JPEG, status))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://169.254.169.254/x", "file:///etc/passwd", "https://a@b/x", "x"]
)
async def test_k4_a_record_cannot_make_us_knock_inside_the_house(url: str) -> None:
    async with asking(saying([])) as client:
        with pytest.raises(BadUrl):
            await client.fetch_preview(url)


async def test_pictures_do_not_hold_up_questions() -> None:
    time = Time()
    async with asking(saying(JPEG, kind="image/jpeg"), time=time) as client:
        for _ in range(3):
            await client.fetch_preview(f"http://{client.host}/x")
    assert time.slept == []
