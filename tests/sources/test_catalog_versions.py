"""Which file a download address of CivitAI leads to, and its hash."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web as server

from model_manager.errors import OriginUnavailable, StrangeAnswer
from model_manager.sources.catalog_versions import CivitaiVersions, VersionFile
from model_manager.sources.searching import Asker
from model_manager.sources.transport.spacing import Spacing
from tests.sources.serving import served

SHA = "AB" * 32
ADDRESS = "https://civitai.com/api/download/models/5"


def file(name: str, url: str, sha256: str | None = SHA, **more):
    return {"name": name, "downloadUrl": url, "hashes": {"SHA256": sha256} if sha256 else {}, **more}


async def asked(answer, url=ADDRESS):
    async def handler(request):
        assert request.path == "/api/v1/model-versions/5"
        return server.Response(status=answer) if isinstance(answer, int) else server.json_response(answer)

    async with served(handler) as host, aiohttp.ClientSession() as session:
        asker = Asker(session, f"http://{host}", None, "CIVITAI_TOKEN", Spacing(1000))
        return await CivitaiVersions(asker).file_at(url)


@pytest.mark.parametrize(
    ("files", "url", "name"),
    [
        ([file("a.pt", ADDRESS)], ADDRESS, "a.pt"),
        ([file("a.pt", "x", primary=True), file("b.pt", "y")], ADDRESS, "a.pt"),
        ([file("a.pt", ADDRESS), file("b.pt", f"{ADDRESS}?type=VAE")], f"{ADDRESS}?type=VAE&token=secret", "b.pt"),
        ([file("a.pt", "x"), file("b.pt", "y")], ADDRESS, None),
        ([file("a.pt", "x")], f"{ADDRESS}?type=VAE", None),
        ([], ADDRESS, None),
    ],
)
async def test_the_file_is_the_one_with_the_address_or_the_only_one(files, url, name):
    found = await asked({"files": files}, url)
    assert (found and found.name) == name
    assert found is None or found.sha256 == SHA.lower()


async def test_a_file_without_a_hash_has_none():
    assert await asked({"files": [file("a.pt", ADDRESS, None)]}) == VersionFile(name="a.pt", sha256=None)


async def test_what_is_not_there_and_what_is_no_address_of_civitai_is_nothing():
    assert await asked(404) is None
    assert await asked(500, "https://civitai.com/models/5") is None


@pytest.mark.parametrize(
    ("answer", "error"), [([], StrangeAnswer), ({"files": 5}, StrangeAnswer), (503, OriginUnavailable)]
)
async def test_f3_an_answer_that_is_none_is_refused(answer, error):
    with pytest.raises(error):
        await asked(answer)
