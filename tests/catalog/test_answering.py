"""Limits, entity tags, and refusals that leak nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from unittest.mock import patch

import aiohttp
import pytest

from model_manager.catalog.answering import MAX_BODY
from model_manager.catalog.bodies import MAX_NAMES
from model_manager.catalog.run import serve
from model_manager.catalog.storage.reading import Reader
from model_manager.errors import BadSetting, CatalogUnavailable
from model_manager.serving import asking

from .conftest import RECORDS, Client, model
from .conftest import asking as client_of

BATCH_ROUTES = pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/models/batch", "model_ids"),
        ("/api/models/batch", "model_ids"),
        ("/workflows/dependencies", "workflow_names"),
        ("/component-definitions/dependencies", "workflow_ids"),
        ("/collections/dependencies", "collection_ids"),
    ],
)
JSON = {"Content-Type": "application/json"}


async def test_a_get_carries_an_entity_tag_and_is_304_when_nothing_changed(client: Client) -> None:
    tag = await client.tag("/models")
    async with client.session.get("/models", headers={"If-None-Match": f'"other", {tag}'}) as second:
        assert (second.status, await second.read(), second.headers["ETag"]) == (304, b"", tag)
    async with client.session.get("/models?limit=1", headers={"If-None-Match": tag}) as other:
        assert other.status == 200


async def test_a_head_is_a_get_without_its_body(client: Client) -> None:
    async with client.session.head("/models/flux-dev") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["ETag"] == await client.tag("/models/flux-dev")


async def test_a_question_by_post_carries_no_entity_tag(client: Client) -> None:
    async with client.session.post("/models/batch", json={"model_ids": []}) as response:
        assert (response.status, "ETag" in response.headers) == (200, False)


@BATCH_ROUTES
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"%s": "x"}', b'{"%s": [1]}', b'{"%s": [null]}', b'{"%s": null}', b"{}", b"\xff",
     b'{"%s": [], "%s": []}'],
)  # fmt: skip
async def test_a_body_of_the_wrong_shape_is_400(client: Client, path: str, key: str, body: bytes) -> None:
    content = body.replace(b"%s", key.encode())
    async with client.session.post(path, data=content, headers=JSON) as response:
        answer = await response.json()
    assert response.status == 400
    assert set(answer) == ({"error"} if path.startswith("/api") else {"data", "error"})


@pytest.mark.parametrize("text", ['{"model_ids": [NaN]}', '{"model_ids": ["\\ud800"]}', "[" * 100_000])
async def test_f3_f5_json_that_is_none_is_400(client: Client, text: str) -> None:
    async with client.session.post("/models/batch", data=text, headers=JSON) as response:
        assert response.status == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_k9_what_a_form_of_any_page_can_send_is_no_question(client: Client, kind: str) -> None:
    headers = {"Content-Type": kind}
    async with client.session.post("/models/batch", data=b'{"model_ids": []}', headers=headers) as response:
        assert response.status == 415


@BATCH_ROUTES
async def test_f5_more_names_than_the_limit_are_400_and_as_many_are_not(client: Client, path: str, key: str) -> None:
    names = [f"m{number}" for number in range(MAX_NAMES + 1)]
    status, body = await client.post(path, {key: names})
    assert status == 400
    assert str(MAX_NAMES) in body["error"]
    status, _ = await client.post(path, {key: names[:-1]})
    assert status == 200


async def test_k9_a_body_over_the_limit_is_413_and_one_of_the_limit_is_read(client: Client) -> None:
    whole = b'{"model_ids": ["x"]}'.ljust(MAX_BODY)
    async with client.session.post("/models/batch", data=whole, headers=JSON) as response:
        assert response.status == 200
    async with client.session.post("/models/batch", data=whole + b" ", headers=JSON) as response:
        assert response.status == 413
        assert (await response.json())["data"] is None


async def test_another_method_is_405_and_says_which_are_taken(client: Client) -> None:
    async with client.session.patch("/models/flux-dev") as response:
        body = await response.json()
        assert (response.status, body["data"]) == (405, None)
        assert "GET" in response.headers["Allow"]
        assert "GET" in body["error"]


async def test_k9_a_body_that_does_not_arrive_is_408(tmp_path: Path) -> None:
    with patch.object(asking, "BODY_SECONDS", 0.05):
        async with serve(tmp_path / "c.sqlite") as url:
            answer = await _raw(
                url, b"POST /models/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_address_that_is_not_utf8_is_no_fault_of_ours(client: Client) -> None:
    url = str(client.session._base_url).rstrip("/")
    for path in (b"/models/name/\xff\xfe", b"/models/name/%ED%A0%80", b"/models?search=\xff"):
        answer = await _raw(url, b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert answer.split(b" ")[1] in (b"400", b"404", b"200"), answer


async def test_a_fault_of_ours_is_500_without_its_cause(tmp_path: Path) -> None:
    status, text = await _failing(tmp_path, RuntimeError("secret /etc/path"))
    assert (status, json.loads(text)["data"]) == (500, None)
    assert "secret" not in text
    assert "Traceback" not in text


async def test_a_locked_database_is_503_with_a_time_to_wait(tmp_path: Path) -> None:
    locked = CatalogUnavailable(host="c.sqlite", why="locked", retry_after=7)
    with patch.object(Reader, "counts", side_effect=locked):
        async with _asking(tmp_path) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert "Ask again" in (await response.json())["error"]


async def test_a_damaged_database_is_refused_in_the_shape_of_the_family(tmp_path: Path) -> None:
    status, text = await _failing(tmp_path, BadSetting(name="catalog database", why="it broke", fix="Fix."))
    assert (status, set(json.loads(text))) == (500, {"data", "error"})


async def _raw(url: str, request: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


async def _failing(tmp_path: Path, error: Exception) -> tuple[int, str]:
    with patch.object(Reader, "counts", side_effect=error):
        async with _asking(tmp_path) as response:
            return response.status, await response.text()


@asynccontextmanager
async def _asking(tmp_path: Path) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        serve(tmp_path / "c.sqlite") as url,
        aiohttp.ClientSession(url) as session,
        session.get("/health") as response,
    ):
        yield response


async def test_c11_a_database_that_is_damaged_while_it_is_served_is_a_fault_of_ours_and_its_path_stays_here(
    tmp_path: Path,
) -> None:
    file = tmp_path / "catalog.sqlite"
    async with client_of(file, RECORDS):
        pass
    async with client_of(file) as client:
        with file.open("r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * (file.stat().st_size - 4096))
        answers = [await client.get(path) for path in ("/models/flux-dev", "/workflows", "/api/models/t5")]
    assert {status for status, _ in answers} == {500}
    assert not [body for _, body in answers if str(tmp_path) in str(body)]


async def test_a_database_that_is_away_is_waited_for_and_its_path_stays_here(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    async with client_of(file, RECORDS) as client:
        with closing(sqlite3.connect(file)) as other:
            other.execute("BEGIN IMMEDIATE")
            status, body = await client.put("/models/x", model("x.pt"))
    assert (status, str(tmp_path) in str(body)) == (503, False)
