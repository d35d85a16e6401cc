from __future__ import annotations

import hashlib

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import Corrupt, NotAuthorized
from model_manager.facts.model import Source
from model_manager.sources.credentials import Credentials
from model_manager.sources.huggingface import HuggingFaceOrigin
from tests.sources.serving import Shelf, reaching, served

DATA = bytes(range(256)) * 100
SHA = hashlib.sha256(DATA).hexdigest()


class Hub:
    """The hub in front (one redirect per request, with what it knows of the file) and its store behind."""

    def __init__(self) -> None:
        self.store = Shelf(DATA, etag='"store"')
        self.linked = {"X-Linked-Etag": f'"{SHA}"', "X-Linked-Size": str(len(DATA))}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.away = ""

    async def front(self, request):
        self.paths.append(request.path_qs)
        self.headers.append(dict(request.headers))
        return server.Response(status=302, headers={"Location": f"{self.away}/blob?Signature=s", **self.linked})


@pytest.fixture
async def hub():
    hub = Hub()
    async with served(hub.store.__call__) as away, served(hub.front) as host, reaching(host, away) as web:
        hub.away = f"http://{away}"
        hub.origin = HuggingFaceOrigin(web, hosts=frozenset({host}))
        hub.source = Source(
            url=f"http://{host}/org/repo/resolve/main/a%20b/c.safetensors?download=true", token="HF_TOKEN"
        )
        hub.host = host
        yield hub


async def read(hub: Hub, **where):
    async with hub.origin.open("c.safetensors", hub.source, **where) as stream:
        return stream.offer, b"".join([chunk async for chunk in stream.chunks()])


async def test_the_hubs_digest_is_the_promise_and_the_proof(hub):
    offer = await hub.origin.describe("c.safetensors", hub.source)
    assert (offer.promise.algorithms, offer.promise.hex) == (("sha256",), SHA)
    assert (offer.size, offer.validator) == (len(DATA), f'"{SHA}"')
    assert await read(hub) == (offer, DATA)


async def test_a_page_address_becomes_a_file_address(hub):
    hub.source = Source(url=f"http://{hub.host}/org/repo/blob/main/x/blob/y.safetensors?download=true")
    await read(hub)
    assert hub.paths == ["/org/repo/resolve/main/x/blob/y.safetensors?download=true"]


async def test_other_addresses_stay_as_they_are(hub):
    await read(hub)
    assert hub.paths == ["/org/repo/resolve/main/a%20b/c.safetensors?download=true"]


async def test_it_goes_on_by_the_digest_whatever_the_store_calls_the_file(hub):
    hub.store.etag = '"renamed"'
    offer, data = await read(hub, start=100, validator=f'"{SHA}"', size=len(DATA))
    assert (offer.start, data) == (100, DATA[100:])
    assert hub.store.seen[-1]["Range"] == "bytes=100-"
    assert "If-Range" not in hub.store.seen[-1]


async def test_b4_another_digest_starts_over(hub):
    offer, data = await read(hub, start=100, validator=f'"{"0" * 64}"')
    assert (offer.start, data) == (0, DATA)
    assert "Range" not in hub.store.seen[-1]


async def test_without_a_digest_the_etag_of_the_store_is_the_proof(hub):
    hub.linked = {"X-Linked-Etag": '"d670460b4b4aece5915caf5c68d12f560a9fe3e4"'}
    offer, _ = await read(hub)
    assert (offer.promise, offer.validator) == (None, '"store"')
    offer, data = await read(hub, start=100, validator='"store"')
    assert (offer.start, data) == (100, DATA[100:])


async def test_the_word_of_the_store_is_no_promise(hub):
    hub.linked = {}
    hub.store.headers["X-Linked-Etag"] = f'"{"f" * 64}"'
    assert (await hub.origin.describe("c", hub.source)).promise is None


async def test_a_store_that_offers_another_length_is_corrupt(hub):
    hub.linked["X-Linked-Size"] = "7"
    with pytest.raises(Corrupt, match="announced"):
        await read(hub)


async def test_a_mirror_that_serves_the_file_itself_goes_on_by_its_own_etag():
    shelf = Shelf(DATA, etag='"mirror"', headers={"X-Linked-Etag": f'"{SHA}"'})
    async with served(shelf.__call__) as host, reaching(host) as web:
        origin, source = (
            HuggingFaceOrigin(web, hosts=frozenset({host})),
            Source(url=f"http://{host}/o/r/resolve/main/x"),
        )
        offer = await origin.describe("x", source)
        assert (offer.promise.hex, offer.validator) == (SHA, '"mirror"')
        async with origin.open("x", source, start=100, validator=offer.validator) as stream:
            assert stream.offer.start == 100


async def test_every_open_asks_the_hub_again(hub):
    await read(hub)
    await read(hub, start=5, validator=f'"{SHA}"')
    assert len(hub.paths) == 2


async def test_b12_a_gated_model_says_what_to_accept_and_which_token():
    async def gated(_request):
        return server.Response(status=403, headers={"X-Error-Code": "GatedRepo"})

    async with served(gated) as host, reaching(host) as web:
        origin = HuggingFaceOrigin(web, hosts=frozenset({host}))
        with pytest.raises(NotAuthorized) as caught:
            await origin.describe("x", Source(url=f"http://{host}/org/repo/resolve/main/x.safetensors"))
    said = str(caught.value)
    assert "accept its licence at https://127.0.0.1/org/repo." in said
    assert "Set HF_TOKEN (or HF_TOKEN_FILE)" in said


async def test_the_token_goes_to_the_hub_and_not_to_the_store(authority):
    hub = Hub()
    tls = authority.server("127.0.0.1")
    async with served(hub.store.__call__, tls) as away, served(hub.front, tls) as host:
        hub.away = f"https://{away}"
        credentials = Credentials(tokens={"HF_TOKEN": SecretStr("t")}, hosts={"HF_TOKEN": frozenset({host})})
        async with reaching(host, away, credentials=credentials, ca_file=authority.ca_file) as web:
            origin = HuggingFaceOrigin(web, hosts=frozenset({host}))
            await origin.describe("x", Source(url=f"https://{host}/org/repo/resolve/main/x"))
    assert hub.headers[-1]["Authorization"] == "Bearer t"
    assert "Authorization" not in hub.store.seen[-1]


@pytest.mark.parametrize(
    ("url", "ours"),
    [("https://huggingface.co/a", True), ("https://huggingface.co.evil/a", False), ("https://huggingface.co@evil/a", False),
     ("https://evil/huggingface.co", False), ("ftp://huggingface.co/a", False)],
)  # fmt: skip
async def test_k5_it_claims_its_own_host_only(url, ours):
    async with reaching() as web:
        assert HuggingFaceOrigin(web).claims(url) is ours
