"""Limits, entity tags, and refusals that leak nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import aiohttp
import pytest

from model_manager.catalog import answering
from model_manager.catalog.answering import MAX_BODY, MAX_NAMES
from model_manager.catalog.run import serve
from model_manager.catalog.store import Store
from model_manager.errors import BadSetting, CatalogUnavailable

from .conftest import Client

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


async def test_a_get_carries_a_strong_entity_tag_and_is_304_when_nothing_changed(client: Client) -> None:
    async with client.session.get("/models") as first:
        tag = first.headers["ETag"]
    assert tag.startswith('"')
    async with client.session.get("/models", headers={"If-None-Match": f'"other", W/{tag}'}) as second:
        assert (second.status, await second.read()) == (304, b"")
        assert second.headers["ETag"] == tag
    async with client.session.get("/models?limit=1", headers={"If-None-Match": tag}) as other:
        assert other.status == 200


async def test_a_post_carries_no_entity_tag(client: Client) -> None:
    async with client.session.post("/models/batch", json={"model_ids": []}) as response:
        assert (response.status, "ETag" in response.headers) == (200, False)


@BATCH_ROUTES
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"%s": "x"}', b'{"%s": [1]}', b'{"%s": [null]}', b'{"%s": null}', b"{}", b"\xff"],
)
async def test_a_body_of_the_wrong_shape_is_400(client: Client, path: str, key: str, body: bytes) -> None:
    async with client.session.post(path, data=body.replace(b"%s", key.encode())) as response:
        answer = await response.json()
    assert response.status == 400
    assert "error" in answer


@pytest.mark.parametrize("text", ['{"model_ids": [NaN]}', '{"model_ids": ["\\ud800"]}', "[" * 100_000])
async def test_f3_f5_json_that_is_none_is_400(client: Client, text: str) -> None:
    async with client.session.post("/models/batch", data=text) as response:
        assert response.status == 400


@BATCH_ROUTES
async def test_more_names_than_the_limit_are_400_and_as_many_are_not(client: Client, path: str, key: str) -> None:
    names = [f"m{number}" for number in range(MAX_NAMES + 1)]
    status, body = await client.post(path, {key: names})
    assert status == 400
    assert str(MAX_NAMES) in body["error"]
    status, _ = await client.post(path, {key: names[:-1]})
    assert status == 200


async def test_a_body_over_the_limit_is_413_and_one_of_the_limit_is_read(client: Client) -> None:
    whole = b'{"model_ids": ["x"]}'.ljust(MAX_BODY)
    async with client.session.post("/models/batch", data=whole) as response:
        assert response.status == 200
    async with client.session.post("/models/batch", data=whole + b" ") as response:
        assert response.status == 413
        assert (await response.json())["data"] is None


async def test_another_method_is_405_and_says_which_are_taken(client: Client) -> None:
    async with client.session.delete("/models/flux-dev") as response:
        body = await response.json()
        assert (response.status, body["data"]) == (405, None)
        assert "GET" in response.headers["Allow"]
        assert "GET" in body["error"]


async def test_k9_a_body_that_does_not_arrive_is_408(tmp_path: Path) -> None:
    with patch.object(answering, "BODY_SECONDS", 0.05):
        async with serve(tmp_path / "c.sqlite") as url:
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /models/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_fault_of_ours_is_500_without_its_cause(tmp_path: Path) -> None:
    status, text = await _failing(tmp_path, RuntimeError("secret /etc/path"))
    assert (status, json.loads(text)["data"]) == (500, None)
    assert "secret" not in text
    assert "Traceback" not in text


async def test_a_locked_database_is_503_with_a_time_to_wait(tmp_path: Path) -> None:
    locked = CatalogUnavailable(host="c.sqlite", why="locked", retry_after=7)
    with patch.object(Store, "counts", side_effect=locked):
        async with _asking(tmp_path) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert "locked" in (await response.json())["error"]


async def test_a_damaged_database_is_500_and_its_path_stays_in_the_log(tmp_path: Path) -> None:
    status, text = await _failing(tmp_path, BadSetting(name="catalog database", why="/srv/c.sqlite broke", fix="Fix."))
    assert (status, "/srv" in text) == (500, False)


async def _failing(tmp_path: Path, error: Exception) -> tuple[int, str]:
    with patch.object(Store, "counts", side_effect=error):
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
