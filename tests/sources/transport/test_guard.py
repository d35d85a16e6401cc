from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver

from model_manager.errors import BadUrl
from model_manager.sources.credentials import Credentials
from model_manager.sources.transport.guard import Guard, GuardedResolver, is_at, shown
from model_manager.sources.transport.web import web as client


class Answering(AbstractResolver):
    """Answers each question with the next list of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        addresses = self._answers.pop(0)
        return [
            {"hostname": host, "host": a, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for a in addresses
        ]

    async def close(self) -> None:
        self._answers.clear()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/x", "javascript:alert(1)", "data:,x", "//example.com/x", "models/x", "",
     "http://127.0.0.1/x", "http://127.1/x", "http://0x7f.1/x", "http://2130706433/x", "http://0177.0.0.1/x",
     "http://0.0.0.0/x", "http://[::]/x", "http://[::1]/x", "http://[::ffff:7f00:1]/x", "http://[::ffff:127.0.0.1]/x",
     "http://[::7f00:1]/x", "http://[64:ff9b::7f00:1]/x", "http://[64:ff9b:1::1]/x", "http://[2002:7f00:1::]/x",
     "http://[2001:0:7f00:1::1]/x", "http://[fe80::1]/x", "http://[fe80::1%25eth0]/x", "http://[fd00::1]/x",
     "http://169.254.169.254/latest", "http://10.0.0.1/x", "http://192.168.0.1/x", "http://100.64.0.1/x",
     "http://224.0.0.1/x", "http://255.255.255.255/x", "http://1.1.1.1./x", "http://①②⑦.0.0.1/x", "http://127。0。0。1/x",
     "http://u:p@example.com/x", "http://u@example.com/x", "http://huggingface.co\\@evil.com/x", "http://exa mple.com/",
     "http://example.com/a\nb", "http://example.com:99999/", "http:///x", "http://./x", "http://a%00b/x",
     "http://%31%32%37.0.0.1/x"],
)  # fmt: skip
def test_k4_addresses_that_are_never_fetched(url):
    with pytest.raises(BadUrl):
        Guard().check(url)


@pytest.mark.parametrize(
    "url",
    ["https://huggingface.co/a/b/resolve/main/c.safetensors?download=true", "http://8.8.8.8/x", "https://[2606:4700::1111]/x",
     "http://[64:ff9b::808:808]/x", "https://x.example.com/a%20b%2Fc?sig=a%2Bb&x=%7E", "https://bücher.example/x"],
)  # fmt: skip
def test_public_addresses_pass(url):
    Guard().check(url)


def test_a_signed_address_stays_as_it_is_byte_for_byte():
    url = "https://cdn.example.com/a%2Fb/%7Ec?Signature=A%2Bb%2F~-_&Key='x'"
    assert str(Guard().check(url)) == url


def test_the_fragment_is_not_sent():
    assert str(Guard().check("https://example.com/x#y")) == "https://example.com/x"


@pytest.mark.parametrize(
    ("allowed", "url", "passes"),
    [("127.0.0.1:8000", "http://127.0.0.1:8000/x", True), ("127.0.0.1:8000", "http://127.0.0.1:8001/x", False),
     ("127.0.0.1", "http://127.0.0.1:8001/x", True), ("[::1]:80", "http://[::1]/x", True), (" Mirror ", "http://mirror/", True)],
)  # fmt: skip
def test_an_allowed_host_is_allowed_exactly(allowed, url, passes):
    guard = Guard([allowed])
    if passes:
        guard.check(url)
    else:
        with pytest.raises(BadUrl):
            guard.check(url)


async def test_k4_a_name_with_one_private_address_among_two_is_refused():
    resolver = GuardedResolver(Guard(), Answering(["93.184.216.34", "127.0.0.1"]))
    with pytest.raises(BadUrl, match="private network"):
        await resolver.resolve("rebind.example.com", 80)


async def test_k4_dns_rebinding_is_caught_at_the_second_answer_too():
    resolver = GuardedResolver(Guard(), Answering(["93.184.216.34"], ["169.254.169.254"]))
    assert [a["host"] for a in await resolver.resolve("rebind.example.com", 80)] == ["93.184.216.34"]
    with pytest.raises(BadUrl):
        await resolver.resolve("rebind.example.com", 80)
    await resolver.close()


async def test_an_allowed_name_may_resolve_into_the_house():
    resolver = GuardedResolver(Guard(["mirror.lan:8080"]), Answering(["10.0.0.7"], ["10.0.0.7"]))
    assert await resolver.resolve("mirror.lan", 8080)
    with pytest.raises(BadUrl):
        await resolver.resolve("mirror.lan", 8081)


async def test_k4_no_byte_reaches_a_private_address_behind_a_public_name():
    knocked = []

    def knock(*_):
        knocked.append(1)

    import asyncio

    server = await asyncio.start_server(knock, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client(Credentials(), resolver=Answering(["127.0.0.1"])) as web:
        with pytest.raises(BadUrl, match="private network"):
            async with web.get("m", f"http://models.example.com:{port}/x", {}):
                pass
    server.close()
    assert not knocked


def test_k12_what_is_shown_of_an_address_has_no_query_and_no_user():
    assert shown("https://u:secret@h.example/a?token=secret#secret") == "https://h.example/a"
    assert "secret" not in str(BadUrl(url=shown("http://u:secret@[bad/x?secret"), why="x"))


@pytest.mark.parametrize(
    ("url", "there"),
    [("https://huggingface.co/x", True), ("http://huggingface.co/x", True), ("https://huggingface.co:444/x", False),
     ("https://huggingface.co.evil/x", False), ("https://evil/huggingface.co", False), ("https://huggingface.co@evil/", False),
     ("https://a.huggingface.co/x", False), ("http://[bad", False), ("nonsense", False)],
)  # fmt: skip
def test_k5_being_at_a_host_is_exact(url, there):
    assert is_at(url, frozenset({"huggingface.co"})) is there
