from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import BadSetting, BadUrl, ModelManagerError, OriginUnavailable
from model_manager.facts.quota import Quotas
from model_manager.sources.credentials import Credentials
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.web import MAX_HOPS, Timeouts, web
from tests.sources.bowl import Bowl
from tests.sources.serving import SOON, raw, reaching, served

CANARY = "hf_CANARY123"
DATA = bytes(range(256)) * 12_000


async def body(client, url: str, headers: dict[str, str] | None = None) -> bytes:
    async with client.get("m", url, headers or {}) as answer:
        return b"".join([chunk async for chunk in answer.chunks()])


def redirect(to: str, **headers: str) -> server.Response:
    return server.Response(status=302, headers={"Location": to, **headers})


def knowing(*hosts: str) -> Credentials:
    return Credentials(tokens={"HF_TOKEN": SecretStr(CANARY)}, hosts={"HF_TOKEN": frozenset(hosts)})


async def test_nothing_of_us_is_sent_but_the_request():
    async def handler(request):
        assert request.headers["Accept-Encoding"] == "identity"
        return server.Response(text=" ".join(sorted(request.headers)), headers={"Set-Cookie": "a=b"})

    async with served(handler) as host, reaching(host) as client:
        first = await body(client, f"http://{host}/x")
        second = await body(client, f"http://{host}/x", {"Range": "bytes=0-"})
    assert first == b"Accept Accept-Encoding Host User-Agent"
    assert second == b"Accept Accept-Encoding Host Range User-Agent"


async def test_the_environments_proxy_is_ignored(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def handler(_request):
        return server.Response(body=b"direct")

    async with served(handler) as host, reaching(host) as client:
        assert await body(client, f"http://{host}/x") == b"direct"


async def test_a_proxy_for_plain_http_is_given_the_whole_address():
    async def proxying(request):
        return server.Response(text=str(request.raw_path))

    async with served(proxying) as host, web(Credentials(), proxy=f"http://{host}", timeouts=SOON) as client:
        assert await body(client, "http://models.example.com/x") == b"http://models.example.com/x"
        with pytest.raises(BadUrl):
            await body(client, "http://169.254.169.254/x")


async def test_redirects_are_followed_relative_and_absolute():
    async def handler(request):
        to = {"/a": "b?sig=a%2Bb", "/b": f"http://{request.host}/c"}.get(request.path)
        return redirect(to) if to else server.Response(text="here")

    async with served(handler) as host, reaching(host) as client, client.get("m", f"http://{host}/a", {}) as answer:
        assert [hop.url.path_qs for hop in answer.hops] == ["/a", "/b?sig=a%2Bb"]
        assert answer.url.path == "/c"
        assert not answer.moved


async def test_b14_a_redirect_loop_ends():
    async def handler(request):
        return redirect("/b" if request.path == "/a" else "/a")

    async with served(handler) as host, reaching(host) as client:
        with pytest.raises(BadUrl, match="in a circle"):
            await body(client, f"http://{host}/a")


async def test_b14_eleven_hops_are_one_too_many():
    async def handler(request):
        number = int(request.path[1:])
        return redirect(f"/{number - 1}") if number else server.Response(text="here")

    async with served(handler) as host, reaching(host) as client:
        assert await body(client, f"http://{host}/{MAX_HOPS}") == b"here"
        with pytest.raises(BadUrl, match="more than 10 times"):
            await body(client, f"http://{host}/{MAX_HOPS + 1}")


@pytest.mark.parametrize(
    "to",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "http://169.254.169.254/?k=v",
        "http://[::ffff:7f00:1]/",
        "http://u:p@x/",
        "http://[x/",
    ],
)
async def test_k4_a_redirect_leads_nowhere_forbidden(to):
    async def handler(_request):
        return redirect(to)

    async with served(handler) as host, reaching(host) as client:
        with pytest.raises(BadUrl):
            await body(client, f"http://{host}/a")


async def test_a_redirect_to_nowhere_is_a_failure_of_the_server():
    async def handler(_request):
        return server.Response(status=302)

    async with served(handler) as host, reaching(host) as client:
        with pytest.raises(OriginUnavailable, match="without saying where"):
            await body(client, f"http://{host}/a")


async def test_b14_a_token_is_dropped_at_a_foreign_host_and_given_again_at_home(authority):
    seen = []

    async def foreign(request):
        seen.append(("foreign", dict(request.headers)))
        return server.Response(text="bytes")

    async def home(request):
        seen.append(("home", dict(request.headers)))
        to = "/b" if request.path == "/a" else f"https://localhost:{away.split(':')[1]}/x?sig={CANARY}"
        return redirect(to, **{"Set-Cookie": "session=1"})

    tls = authority.server("127.0.0.1", "localhost")
    async with (
        served(foreign, tls) as away,
        served(home, tls) as host,
        reaching(
            host, away.replace("127.0.0.1", "localhost"), credentials=knowing(host), ca_file=authority.ca_file
        ) as client,
    ):
        assert await body(client, f"https://{host}/a", {"Range": "bytes=0-"}) == b"bytes"
    assert [where for where, _ in seen] == ["home", "home", "foreign"]
    assert all(headers["Authorization"] == f"Bearer {CANARY}" for where, headers in seen if where == "home")
    assert "Authorization" not in seen[-1][1]
    assert "Cookie" not in seen[-1][1]
    assert seen[-1][1]["Range"] == "bytes=0-"


async def test_k5_the_same_host_at_another_port_gets_no_token(authority):
    async def handler(request):
        return server.Response(text=request.headers.get("Authorization", "none"))

    tls = authority.server("127.0.0.1")
    async with (
        served(handler, tls) as host,
        reaching(host, credentials=knowing("127.0.0.1", "127.0.0.1:1"), ca_file=authority.ca_file) as client,
    ):
        assert await body(client, f"https://{host}/x") == b"none"


async def test_a9_a_redirect_from_https_to_http_is_refused_and_no_token_leaves(authority):
    seen = []

    async def plain(request):
        seen.append(request.headers)
        return server.Response(text="bytes")

    async def home(_request):
        return redirect(f"http://{other}/x")

    async with (
        served(plain) as other,
        served(home, authority.server("127.0.0.1")) as host,
        reaching(host, other, credentials=knowing(host, other), ca_file=authority.ca_file) as client,
    ):
        with pytest.raises(BadUrl, match="from https to http"):
            await body(client, f"https://{host}/a")
    assert not seen


async def test_a9_no_token_is_sent_over_http():
    async def handler(request):
        return server.Response(text=request.headers.get("Authorization", "none"))

    async with served(handler) as host, reaching(host, credentials=knowing(host)) as client:
        assert await body(client, f"http://{host}/x") == b"none"


async def test_a9_certificates_are_checked(authority):
    async def handler(_request):
        return server.Response(text="never")

    async def failure(tls, ca_file=authority.ca_file) -> str:
        async with served(handler, tls) as host, reaching(host, credentials=knowing(host), ca_file=ca_file) as client:
            with pytest.raises(OriginUnavailable) as caught:
                await body(client, f"https://{host}/x?token={CANARY}")
            return str(caught.value)

    said = [
        await failure(authority.expired("127.0.0.1")),
        await failure(authority.server("other.example.com")),
        await failure(authority.server("127.0.0.1"), ca_file=None),
    ]
    assert "has expired" in said[0]
    assert "another address" in said[1] or "another host" in said[1]
    assert "unknown authority" in said[2]
    assert CANARY not in "".join(said)


async def test_a_ca_file_that_is_none_is_a_bad_setting(tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(BadSetting):
            async with web(Credentials(), ca_file=str(tmp_path / name)):
                pass


async def fails(answer, timeouts: Timeouts = SOON) -> str:
    async with raw(answer) as host, reaching(host, timeouts=timeouts) as client:
        with pytest.raises(ModelManagerError) as caught:
            await body(client, f"http://{host}/x?token={CANARY}")
    assert isinstance(caught.value, OriginUnavailable)
    assert CANARY not in str(caught.value)
    return str(caught.value)


async def test_b18_a_hundred_thousand_header_bytes_are_an_error():
    async def one_line(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\nContent-Length: 1\r\n\r\nx")
        await writer.drain()

    async def many_lines(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaa\r\n" * 10_000 + b"Content-Length: 1\r\n\r\nx")
        await writer.drain()

    assert "headers are too long" in await fails(one_line)
    assert "headers are too long" in await fails(many_lines)


async def test_b18_trailers_without_end_are_an_error():
    async def trailers(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        for _ in range(10_000):
            writer.write(b"X: " + b"a" * 1000 + b"\r\n")
            await writer.drain()

    tracemalloc.start()
    try:
        assert await fails(trailers)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


async def test_b18_interim_answers_without_end_are_an_error():
    async def interim(writer):
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
            await writer.drain()

    async def slow(writer):
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)

    assert "not proper HTTP" in await fails(interim)
    assert "did not answer in time" in await fails(slow, Timeouts(connect=5, silence=5, answer=0.3))


async def test_a_few_interim_answers_are_passed_over():
    async def early(writer):
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
        await writer.drain()

    async with raw(early) as host, reaching(host) as client:
        assert await body(client, f"http://{host}/x") == b"ok"


async def test_garbage_is_not_an_answer():
    async def garbage(writer):
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        await writer.drain()

    assert await fails(garbage)


async def test_silence_ends_an_answer_that_has_begun():
    async def silent(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(30)

    assert "fell silent" in await fails(silent, Timeouts(connect=5, silence=0.3, answer=5))


async def test_a1_what_came_before_a_break_is_handed_on():
    """Also what came while nobody was reading: a link that breaks each second would else never bring anything."""
    gone = asyncio.Event()

    async def torn(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 300_000)
        await writer.drain()
        writer.close()
        gone.set()

    async with raw(torn) as host, reaching(host) as client, client.get("m", f"http://{host}/x", {}) as answer:
        await gone.wait()
        came = 0
        with suppress(OriginUnavailable):
            async for chunk in answer.chunks():
                came += len(chunk)
    assert came == 300_000


async def test_b7_a_broken_body_is_a_failure():
    async def short(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()

    async def torn(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc")
        await writer.drain()

    assert "broke off" in await fails(short)
    assert "broke off" in await fails(torn)


async def test_nobody_there_is_a_failure_that_says_why(unused_tcp_port):
    async with reaching(f"127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(OriginUnavailable, match="Connection refused"):
            await body(client, f"http://127.0.0.1:{unused_tcp_port}/x")


async def test_the_connection_of_a_half_read_answer_is_closed_and_that_of_a_whole_one_kept():
    ports = []

    async def handler(request):
        ports.append(request.transport.get_extra_info("peername")[1])
        return server.Response(body=bytes(8 << 20 if request.path == "/big" else 10))

    async with served(handler) as host, reaching(host) as client:
        for path in ("small", "small", "big", "small"):
            async with client.get("m", f"http://{host}/{path}", {}) as answer:
                await anext(answer.chunks())
    assert ports[0] == ports[1] == ports[2]
    assert ports[3] != ports[0]


async def test_a_proxy_that_is_not_there_is_named_as_the_reason(unused_tcp_port):
    async with web(Credentials(), proxy=f"http://127.0.0.1:{unused_tcp_port}", timeouts=SOON) as client:
        with pytest.raises(OriginUnavailable, match="the proxy cannot be connected to"):
            await body(client, "http://models.example.com/x")


@pytest.mark.parametrize("secure", [False, True])
async def test_a_pour_brings_the_body_and_leaves_the_connection_for_the_next(authority, secure):
    ports = []

    async def handler(request):
        ports.append(request.transport.get_extra_info("peername")[1])
        return server.Response(body=DATA)

    tls = authority.server("127.0.0.1") if secure else None
    async with served(handler, tls) as host, reaching(host, ca_file=authority.ca_file) as client:
        for _ in range(3):
            bowl = Bowl()
            async with client.get("m", f"http{'s' if secure else ''}://{host}/x", {}) as answer:
                assert answer.size == len(DATA)
                assert await answer.pour(bowl) == len(DATA)
            assert bowl.data == DATA
    assert len(set(ports)) == 1


async def test_a_pour_stops_when_the_sink_has_enough_and_the_connection_is_given_up():
    ports = []

    async def handler(request):
        ports.append(request.transport.get_extra_info("peername")[1])
        return server.Response(body=DATA)

    async with served(handler) as host, reaching(host) as client:
        for most in (1000, len(DATA)):
            bowl = Bowl(most)
            async with client.get("m", f"http://{host}/x", {}) as answer:
                assert await answer.pour(bowl) == most
            assert bowl.data == DATA[:most]
    assert ports[0] != ports[1]


async def poured(answer, bowl: Bowl, timeouts: Timeouts = SOON) -> None:
    async with (
        raw(answer) as host,
        reaching(host, timeouts=timeouts) as client,
        client.get("m", f"http://{host}/x", {}) as got,
    ):
        await got.pour(bowl, 50)


async def test_b7_a_pour_that_ends_early_says_where():
    async def short(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()

    bowl = Bowl()
    with pytest.raises(OriginUnavailable, match="it ended at byte 53 of 60"):
        await poured(short, bowl)
    assert bowl.data == b"abc"


async def test_a2_a_pour_that_falls_silent_is_given_up():
    async def silent(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(30)

    bowl = Bowl()
    with pytest.raises(OriginUnavailable, match="it fell silent"):
        await poured(silent, bowl, Timeouts(connect=5, silence=0.3, answer=5))
    assert bowl.data == b"abc"


async def test_a1_a_reset_while_pouring_is_a_break_and_what_came_is_kept():
    async def reset(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        await come.wait()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    come = asyncio.Event()
    loop = asyncio.get_running_loop()
    bowl = Bowl(heard=lambda: loop.call_soon_threadsafe(come.set))
    with pytest.raises(OriginUnavailable, match="the connection broke"):
        await poured(reset, bowl)
    assert bowl.data == b"abc"


async def test_what_the_sink_raises_is_never_blamed_on_the_origin():
    async def handler(_request):
        return server.Response(body=DATA)

    class Full(Bowl):
        def took(self, size: int) -> None:
            raise OSError(28, "disk is full")

    async with served(handler) as host, reaching(host) as client, client.get("m", f"http://{host}/x", {}) as answer:
        with pytest.raises(OSError, match="disk is full"):
            await answer.pour(Full())


async def test_cancelled_requests_and_pours_leave_no_connection_behind(authority):
    """In every phase: while the head is awaited, while a thread pours, while the loop reads."""
    asked = asyncio.Event()

    async def handler(request):
        asked.set()
        if request.path == "/head":
            await asyncio.sleep(30)
        response = server.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"abc")
        await asyncio.sleep(30)
        return response

    async def pour(client, url: str) -> None:
        async with client.get("m", url, {}) as answer:
            await answer.pour(Bowl())

    async with (
        served(handler, authority.server("127.0.0.1")) as host,
        reaching(host, ca_file=authority.ca_file) as client,
    ):
        before = sockets()
        for work, path in ((body, "head"), (body, "body"), (pour, "body")):
            asked.clear()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(work(client, f"https://{host}/{path}"))
                await asked.wait()
                await asyncio.sleep(0.05)
                task.cancel()
        assert sockets() == 0
        assert before == 0


def sockets() -> int:
    """Established connections of this process to other than its own listening ports: those that a client opened."""
    here = psutil.Process().net_connections("tcp")
    listening = {entry.laddr.port for entry in here if entry.status == psutil.CONN_LISTEN}
    return sum(entry.laddr.port not in listening for entry in here if entry.status != psutil.CONN_LISTEN)


async def test_the_limits_are_asked_before_every_request_and_held_for_every_body():
    class Noting(Limits):
        def __init__(self) -> None:
            super().__init__(Quotas())
            self.open, self.asked, self.bytes = 0, [], 0

        @asynccontextmanager
        async def connection(self, host):
            self.open += 1
            yield
            self.open -= 1

        async def request(self, host):
            self.asked.append(host)

        async def spend(self, host, size):
            self.bytes += size

    async def handler(request):
        return redirect("/b") if request.path == "/a" else server.Response(body=DATA)

    limits = Noting()
    async with (
        served(handler) as host,
        web(Credentials(), allow=[host], timeouts=SOON, limits=limits) as client,
        client.get("m", f"http://{host}/a", {}) as answer,
    ):
        assert limits.open == 1
        assert b"".join([chunk async for chunk in answer.chunks()]) == DATA
    assert (limits.open, limits.asked, limits.bytes) == (0, ["127.0.0.1", "127.0.0.1"], len(DATA))
