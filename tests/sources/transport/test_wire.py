from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
from contextlib import suppress

import pytest

from model_manager.sources.transport.wire import PlainWire, Scratch, TlsWire

DATA = bytes(range(256)) * 4096


class Peer:
    """The other side: an ssl server over one end of a pair of sockets, moved by hand."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=True)

    def move(self) -> None:
        """One step of the handshake."""
        with suppress(ssl.SSLWantReadError, BlockingIOError):
            self._in.write(self.sock.recv(1 << 16))
            self.tls.do_handshake()
        self.flush()

    def sealed(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self._out.read()

    def flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def bye(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def tls(pair, authority):
    ours, theirs = pair
    context = ssl.create_default_context(cafile=authority.ca_file)
    wire = TlsWire(PlainWire(ours), context, "127.0.0.1", Scratch())
    peer = Peer(theirs, authority.server("127.0.0.1"))
    while not wire.shake():
        peer.move()
    peer.move()
    return wire, peer


def room(size: int) -> memoryview:
    return memoryview(bytearray(size))


def drained(wire, size: int = 1 << 20) -> bytes:
    into, data = room(size), b""
    while count := wire.receive(into):
        data += into[:count]
    return data


def test_nothing_there_is_not_the_end(pair):
    wire = PlainWire(pair[0])
    assert wire.receive(room(10)) is None
    assert not wire.pending()
    assert not wire.ended


def test_what_was_read_too_early_comes_first_and_counts_as_pending(pair):
    wire = PlainWire(pair[0])
    wire.unread(b"abcdef")
    pair[1].sendall(b"ghi")
    into = room(4)
    assert (wire.pending(), wire.receive(into), bytes(into)) == (True, 4, b"abcd")
    assert (wire.pending(), wire.receive(into), bytes(into[:2])) == (True, 2, b"ef")
    assert not wire.pending()
    assert drained(wire) == b"ghi"


def test_a_closed_connection_says_so_after_everything_came(pair):
    wire = PlainWire(pair[0])
    pair[1].sendall(b"abc")
    pair[1].close()
    assert drained(wire) == b"abc"
    assert wire.receive(room(10)) == 0
    assert wire.ended


def test_a_reset_is_raised_and_remembered():
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    wire = PlainWire(ours)
    with pytest.raises(ConnectionResetError) as caught:
        wire.receive(room(10))
    assert wire.fault is caught.value
    wire.close()
    listener.close()


def test_what_the_socket_does_not_take_waits(pair):
    ours, theirs = pair
    wire, sent, came = PlainWire(ours), 0, 0
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    while not wire.unsent:
        wire.send(DATA[:1000])
        sent += 1000
    while wire.unsent:
        came += len(theirs.recv(1 << 20))
        wire.send(b"")
    assert came + len(theirs.recv(1 << 20)) == sent


def test_what_waits_to_be_sent_is_bounded(pair):
    wire = PlainWire(pair[0])

    def flood() -> None:
        for _ in range(10_000):
            wire.send(bytes(1000))

    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with pytest.raises(ConnectionAbortedError):
        flood()


def test_tls_brings_many_records_at_once(tls):
    wire, peer = tls
    peer.sock.sendall(peer.sealed(DATA[:200_000]))
    into = room(1 << 20)
    assert wire.receive(into) == 200_000
    assert into[:200_000] == DATA[:200_000]
    assert wire.receive(into) is None
    assert not wire.pending()


@pytest.mark.parametrize("size", [1, 1000, 16_384, 70_000])
def test_tls_has_bytes_pending_when_the_room_was_too_small(tls, size):
    wire, peer = tls
    peer.sock.sendall(peer.sealed(DATA[:100_000]))
    into, data = room(size), b""
    while len(data) < 100_000:
        assert wire.pending() or not data
        data += into[: wire.receive(into)]
    assert data == DATA[:100_000]


def test_more_than_the_scratch_holds_comes_in_one_go(tls):
    wire, peer = tls
    sealed = peer.sealed(DATA)
    wire._scratch.view = memoryview(bytearray(len(sealed) // 3))
    peer.sock.sendall(sealed)
    into = room(len(DATA))
    assert wire.receive(into) == len(DATA)
    assert into == DATA


def test_half_a_record_is_nothing_yet_and_not_pending(tls):
    wire, peer = tls
    sealed = peer.sealed(b"x" * 1000)
    peer.sock.sendall(sealed[:500])
    assert wire.receive(room(10)) is None
    assert not wire.pending()
    peer.sock.sendall(sealed[500:])
    assert drained(wire) == b"x" * 1000


@pytest.mark.parametrize("politely", [True, False])
def test_tls_ends_politely_or_not(tls, politely):
    wire, peer = tls
    peer.sock.sendall(peer.sealed(b"abc"))
    if politely:
        peer.bye()
    peer.sock.close()
    assert drained(wire) == b"abc"
    assert wire.receive(room(10)) == 0
    assert wire.ended


def test_a_forged_record_is_raised_after_what_came_before_it(tls):
    wire, peer = tls
    good, bad = peer.sealed(b"abc"), bytearray(peer.sealed(b"def"))
    bad[-1] ^= 1
    peer.sock.sendall(good + bad)
    into = room(100)
    assert wire.receive(into) == 3
    assert wire.pending()
    with pytest.raises(ssl.SSLError) as caught:
        wire.receive(into)
    assert wire.fault is caught.value


def test_what_is_sent_through_tls_arrives(tls):
    wire, peer = tls
    wire.send(b"GET / HTTP/1.1\r\n\r\n")
    peer._in.write(peer.sock.recv(1 << 16))
    assert peer.tls.read(100) == b"GET / HTTP/1.1\r\n\r\n"


def test_tls_in_tls(pair, authority):
    """As through a proxy that itself is spoken to over TLS."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    outer = TlsWire(PlainWire(pair[0]), context, "127.0.0.1", Scratch())
    peer = Peer(pair[1], authority.server("127.0.0.1"))
    while not outer.shake():
        peer.move()
    peer.move()
    inner = TlsWire(outer, context, "localhost", Scratch())
    far_in, far_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    far = authority.server("localhost").wrap_bio(far_in, far_out, server_side=True)

    def relay() -> None:
        with suppress(ssl.SSLWantReadError, BlockingIOError):
            peer._in.write(peer.sock.recv(1 << 16))
            far_in.write(peer.tls.read(1 << 16))
            far.do_handshake()
        peer.sock.sendall(peer.sealed(far_out.read()) if far_out.pending else b"")

    while not inner.shake():
        relay()
    relay()
    far.write(DATA[:300_000])
    sealed = peer.sealed(far_out.read())
    peer.sock.sendall(sealed)
    assert drained(inner, 50_000) == DATA[:300_000]


async def test_a_thread_has_a_scratch_of_its_own():
    scratch = Scratch()
    assert await asyncio.to_thread(lambda: scratch.view.obj) is not scratch.view.obj


def test_a_wire_that_expects_much_is_readable_when_so_much_is_there_or_the_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    wire = PlainWire(near)
    wire.expect(100_000)
    far.sendall(DATA[:1000])
    assert not select.select([wire], [], [], 0.05)[0]
    wire.expect(1)
    assert select.select([wire], [], [], 20)[0]
    wire.expect(100_000)
    far.sendall(DATA[:100_000])
    assert select.select([wire], [], [], 20)[0]
    while wire.receive(memoryview(bytearray(1 << 20))):
        pass
    far.close()
    assert select.select([wire], [], [], 20)[0]
    assert wire.receive(memoryview(bytearray(1))) == 0
    wire.close()


def test_a_patient_wire_waits_until_the_room_is_full_and_not_for_ever(pair):
    ours, theirs = pair
    wire = PlainWire(ours)
    theirs.sendall(DATA[:1000])
    with wire.patient(0.05) as receive:
        assert receive(memoryview(bytearray(2000))) == 1000
        assert receive(memoryview(bytearray(2000))) is None
    assert wire.receive(memoryview(bytearray(1))) is None
