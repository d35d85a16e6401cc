from __future__ import annotations

import asyncio
import socket

import h11
import pytest

from model_manager.sources.transport.line import MAX_FIELDS, MAX_HEAD, PIECE, Line
from model_manager.sources.transport.translating import Cut, Unanswered
from model_manager.sources.transport.wire import PlainWire

HEADERS = [("Host", "h.example")]


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
    yield Line(PlainWire(ours)), theirs
    ours.close()
    theirs.close()


async def asked(ends, answer: bytes, *, close: bool = False) -> Line:
    line, theirs = ends
    theirs.sendall(answer)
    if close:
        theirs.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(20):
        await line.ask("GET", "/x?y=%20", HEADERS)
    return line


async def read(line: Line) -> bytes:
    return b"".join([piece async for piece in line.pieces(20)])


async def test_the_question_is_what_h11_makes_of_it(ends):
    await asked(ends, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert ends[1].recv(1000) == b"GET /x?y=%20 HTTP/1.1\r\nHost: h.example\r\n\r\n"


async def test_the_head_is_read_and_nothing_of_the_body_is_lost(ends):
    line = await asked(ends, b'HTTP/1.1 206 Partial\r\nContent-Length: 5\r\nETag: "one"\r\n\r\nhello')
    assert (line.status, line.size, line.left, line.headers["etag"]) == (206, 5, 5, '"one"')
    room = memoryview(bytearray(100))
    assert line.wire.pending()
    assert line.wire.receive(room) == 5
    line.took(5)
    assert line.reusable


async def test_a_question_follows_on_the_same_connection(ends):
    for body in (b"one", b"three"):
        line = await asked(ends, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert await read(line) == body
        assert line.reusable


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nmore"],
    ids=["asked to close", "an old version", "more than the length", "more than the chunks"],
)  # fmt: skip
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(ends, answer):
    line = await asked(ends, answer)
    assert await read(line) == b"x"
    assert not line.reusable


async def test_a_body_that_was_not_read_makes_a_connection_useless_unless_it_is_short_and_there(ends):
    line = await asked(ends, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
    line.skim()
    assert not line.reusable
    assert line.left == 100_000


async def test_a_short_body_that_nobody_wants_is_skimmed(ends):
    line = await asked(ends, b"HTTP/1.1 302 Found\r\nContent-Length: 20\r\n\r\n" + bytes(20))
    line.skim()
    assert line.reusable


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none_whatever_it_says(ends, status):
    line = await asked(ends, b"HTTP/1.1 %d No\r\nContent-Length: 7\r\n\r\n" % status)
    assert (line.size, await read(line)) == (0, b"")


async def test_chunks_are_put_together(ends):
    line = await asked(
        ends, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    assert line.size is None
    assert await read(line) == b"abcde"
    assert line.reusable


async def test_a_body_without_a_length_ends_with_the_connection(ends):
    line = await asked(ends, b"HTTP/1.1 200 OK\r\n\r\nabc", close=True)
    assert line.size is None
    assert await read(line) == b"abc"
    assert not line.reusable


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_b7_what_came_before_a_cut_is_handed_out_first(ends, framing):
    body = b"abc" if b"Length" in framing else b"3\r\nabc\r\n"
    line = await asked(ends, b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body, close=True)
    pieces = line.pieces(20)
    assert await anext(pieces) == b"abc"
    with pytest.raises(Cut):
        await anext(pieces)


async def test_bad_chunks_are_a_cut_after_the_good_ones(ends):
    line = await asked(ends, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
    pieces = line.pieces(20)
    assert await anext(pieces) == b"abc"
    with pytest.raises(Cut):
        await anext(pieces)


async def test_silence_is_a_timeout(ends):
    line = await asked(ends, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    pieces = line.pieces(0.05)
    assert await anext(pieces) == b"abc"
    with pytest.raises(TimeoutError):
        await anext(pieces)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX: "])
async def test_a_connection_that_closes_instead_of_answering(ends, begun):
    with pytest.raises(Unanswered):
        await asked(ends, begun, close=True)
    assert ends[0].heard is bool(begun)
    assert not ends[0].reusable


BAD = {
    "not http": b"\x16\x03\x01nonsense\r\n\r\n",
    "one long line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD + PIECE) + b"\r\nContent-Length: 1\r\n\r\nx",
    "too many lines": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * (MAX_FIELDS + 1) + b"Content-Length: 1\r\n\r\nx",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "a length of 5000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
    "a length of 20 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\nx",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_b18_a_head_that_is_none_is_an_error(ends, answer):
    with pytest.raises(h11.RemoteProtocolError):
        await asked(ends, answer)
    assert not ends[0].reusable


async def test_a_header_of_the_allowed_size_passes(ends):
    line = await asked(ends, b"HTTP/1.1 302 Found\r\nLocation: /" + b"a" * 8000 + b"\r\nContent-Length: 0\r\n\r\n")
    assert len(line.headers["location"]) == 8001


async def test_a_request_that_is_none_is_never_sent(ends):
    with pytest.raises(h11.LocalProtocolError):
        await ends[0].ask("GET", "/x", [*HEADERS, ("X", "a\r\nInjected: 1")])
    ends[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[1].recv(1)


async def test_the_loop_is_not_held_by_many_tiny_chunks(ends):
    """A mebibyte of one-byte chunks comes in as many turns of the loop as it has pieces, not in one."""
    line, turns = ends[0], 0
    ends[1].setblocking(False)
    body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"
    loop = asyncio.get_running_loop()

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(loop.sock_sendall(ends[1], body))
        counting = group.create_task(count())
        await line.ask("GET", "/", HEADERS)
        assert await read(line) == b"x" * 30_000
        counting.cancel()
    assert turns > len(body) // PIECE
