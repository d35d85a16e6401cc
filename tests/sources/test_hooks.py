"""Webhooks: signed by the published scheme, and never sent where nothing is fetched from."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from aiohttp import web

from model_manager.errors import BadUrl, OriginUnavailable
from model_manager.sources.hooks import Hooks, Receipt, hooks, key_of, new_secret, signature
from tests.sources.serving import served
from tests.sources.transport.test_guard import Answering

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""Of the example of the specification's own libraries."""


def test_the_example_of_the_specification_comes_out_the_same() -> None:
    key = key_of(SECRET)
    assert key is not None
    body = b'{"test": 2432232314}'
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"x" * 23).decode(), SECRET[6:]]
)
def test_what_is_no_secret_is_none(secret: str) -> None:
    assert key_of(secret) is None


def test_secrets_are_made_long_enough_and_never_twice() -> None:
    assert len(key_of(new_secret()) or b"") == 32
    assert new_secret() != new_secret()


async def post(client: Hooks, url: str) -> Receipt:
    return await client.send(url, SECRET, "msg_1", 1_700_000_000, b"{}")


async def test_a_receiver_can_verify_what_it_gets() -> None:
    got: list[tuple[web.Request, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request, await request.read()))
        return web.Response(status=204)

    async with served(take) as host, hooks(allow=[host]) as client:
        receipt = await post(client, f"http://{host}/hook?token=t")
    ((request, body),) = got
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key_of(SECRET) or b"", signed, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert (request.method, request.path_qs, request.content_type) == ("POST", "/hook?token=t", "application/json")
    assert (receipt.taken, receipt.retry_after) == (True, None)


async def test_b14_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async def turn(request: web.Request) -> web.Response:
        assert request.path == "/"
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with served(turn) as host, hooks(allow=[host]) as client:
        receipt = await post(client, f"http://{host}/")
    assert (receipt.status, receipt.taken) == (307, False)


async def test_b11_who_asks_for_time_is_heard() -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "17"})

    async with served(busy) as host, hooks(allow=[host]) as client:
        assert (await post(client, f"http://{host}/")).retry_after == 17


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://[::ffff:7f00:1]/", "http://169.254.169.254/", "http://127.1/", "http://0.0.0.0/",
     "ftp://example.com/", "http://user@example.com/", "file:///etc/passwd"],
)  # fmt: skip
async def test_k4_nothing_is_sent_into_the_house(url: str) -> None:
    async with hooks() as client:
        with pytest.raises(BadUrl):
            await post(client, url)


async def test_k4_a_name_that_leads_into_the_house_is_not_connected_to() -> None:
    async with hooks(resolver=Answering(["93.184.216.34", "127.0.0.1"])) as client:
        with pytest.raises(BadUrl):
            await post(client, "http://rebind.example.com/")


async def test_a5_who_does_not_answer_is_given_up() -> None:
    import asyncio

    async def sleep(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with served(sleep) as host, hooks(allow=[host], patience=0.2) as client:
        with pytest.raises(OriginUnavailable):
            await post(client, f"http://{host}/")


async def test_who_is_not_there_is_said_without_the_address() -> None:
    async with hooks(allow=["127.0.0.1"]) as client:
        with pytest.raises(OriginUnavailable) as caught:
            await post(client, "http://127.0.0.1:1/secret-path?key=secret")
    assert "secret" not in str(caught.value)
