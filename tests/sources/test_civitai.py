from __future__ import annotations

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import NotAuthorized
from model_manager.facts.model import Source
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.credentials import Credentials
from tests.sources.serving import Shelf, reaching, served


async def test_b9_a_login_page_names_the_token_that_is_missing():
    async def handler(request):
        if request.path == "/login":
            return server.Response(text="<html>", content_type="text/html")
        return server.Response(status=307, headers={"Location": "/login?returnUrl=%2Fmodels&reason=download-auth"})

    async with served(handler) as host, reaching(host) as web:
        origin = CivitaiOrigin(web, hosts=frozenset({host}))
        with pytest.raises(NotAuthorized, match="Set CIVITAI_TOKEN"):
            await origin.describe("x", Source(url=f"http://{host}/api/download/models/1"))


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_the_token_too(status):
    async def handler(_request):
        return server.Response(status=status)

    async with served(handler) as host, reaching(host) as web:
        with pytest.raises(NotAuthorized, match="Set CIVITAI_TOKEN"):
            await CivitaiOrigin(web, hosts=frozenset({host})).describe("x", Source(url=f"http://{host}/x"))


async def test_the_token_goes_into_a_header_and_the_one_in_the_address_is_dropped(authority):
    seen = []
    shelf = Shelf(b"bytes")

    async def handler(request):
        seen.append((request.path_qs, request.headers.get("Authorization")))
        return await shelf(request)

    async with served(handler, authority.server("127.0.0.1")) as host:
        credentials = Credentials(
            tokens={"CIVITAI_TOKEN": SecretStr("ours")}, hosts={"CIVITAI_TOKEN": frozenset({host})}
        )
        async with reaching(host, credentials=credentials, ca_file=authority.ca_file) as web:
            origin = CivitaiOrigin(web, hosts=frozenset({host}))
            await origin.describe(
                "x", Source(url=f"https://{host}/api/download/models/1?type=Model&token=theirs&format=a%2Bb")
            )
    assert seen == [("/api/download/models/1?type=Model&format=a%2Bb", "Bearer ours")]


async def test_k5_it_claims_its_own_host_only():
    async with reaching() as web:
        origin = CivitaiOrigin(web)
        assert origin.claims("https://civitai.com/api/download/models/1")
        assert not origin.claims("https://civitai.com.evil/x")
        assert not origin.claims("https://evil/?civitai.com")
