from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import groupby

import pytest
import trustme

from model_manager.errors import DiskUnavailable, Stopped
from model_manager.facts.quota import Quota, Quotas
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.pump import TURN, Pump
from model_manager.sources.transport.wire import PlainWire, Scratch, TlsWire

DEADLINE = 30
"""Seconds after which a test that waits for something has failed."""
pytestmark = pytest.mark.timeout(DEADLINE)
BYTES = random.Random(3).randbytes(3 * TURN + 12345)


class Memory:
    """A sink that keeps what it is given, and that can be full, satisfied or broken."""

    def __init__(self, block: int = 64 * 1024, enough: int | None = None) -> None:
        self.kept = bytearray()
        self.enough = enough
        self.full = False
        self.failure: Exception | None = None
        self.asked = threading.Event()
        self.rings: list[Callable[[], None]] = []
        self.threads: set[str] = set()
        self._block = memoryview(bytearray(block))
        self._lock = threading.Lock()

    def room(self) -> memoryview | None:
        self.threads.add(threading.current_thread().name)
        if self.failure:
            raise self.failure
        with self._lock:
            if self.full:
                return None
        left = len(self._block) if self.enough is None else self.enough - len(self.kept)
        return self._block[:left]

    def took(self, size: int) -> None:
        self.kept += self._block[:size]

    def when_free(self, ring: Callable[[], None]) -> None:
        with self._lock:
            full = self.full
            if full:
                self.rings.append(ring)
        if not full:
            ring()
        self.asked.set()

    def free(self) -> None:
        with self._lock:
            self.full, rings, self.rings = False, self.rings, []
        for ring in rings:
            ring()


class Line:
    """Both ends of a connection: `far` sends, `wire` is poured."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self.wire = PlainWire(near)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.far, data)

    def close(self) -> None:
        self.far.close()
        self.wire.close()


@contextmanager
def pumping(quotas: Quotas | None = None, threads: int = 2, silence: float = DEADLINE) -> Iterator[Pump]:
    before = open_files()
    with Pump(Limits(quotas or Quotas()), threads, silence) as pump:
        yield pump
    assert not running()
    assert open_files() <= before


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("pump-")}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@asynccontextmanager
async def sending(line: Line, data: bytes = BYTES) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        sender = group.create_task(line.send(data))
        yield
        sender.cancel()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_a_body_arrives_whole_and_what_follows_stays_in_the_wire(line):
    sink = Memory()
    with pumping() as pump:
        async with sending(line, BYTES + b"next answer"):
            assert await pump.pour(line.wire, "h", len(BYTES), sink) == len(BYTES)
        await until(lambda: line.wire.receive(rest := memoryview(bytearray(64))) and bytes(rest[:4]) == b"next")
    assert sink.kept == BYTES


async def test_bytes_that_came_with_the_headers_come_first_though_the_socket_is_silent(line):
    sink = Memory()
    line.wire.unread(BYTES[:1000])
    with pumping() as pump:
        assert await pump.pour(line.wire, "h", 1000, sink) == 1000
    assert sink.kept == BYTES[:1000]


async def test_nothing_is_poured_for_nothing(line):
    with pumping() as pump:
        assert await pump.pour(line.wire, "h", 0, Memory()) == 0
        assert not running()


async def test_b7_an_early_end_is_a_short_count(line):
    sink = Memory()
    with pumping() as pump:
        await line.send(BYTES[:5000])
        line.far.close()
        assert await pump.pour(line.wire, "h", len(BYTES), sink) == 5000
    assert sink.kept == BYTES[:5000]


async def test_a_sink_that_has_enough_ends_it(line):
    sink = Memory(enough=70_000)
    with pumping() as pump:
        async with sending(line):
            assert await pump.pour(line.wire, "h", len(BYTES), sink) == 70_000
    assert sink.kept == BYTES[:70_000]


async def test_many_bodies_share_the_threads_and_none_is_mixed_up():
    lines, sinks = [Line() for _ in range(24)], [Memory(block=4096) for _ in range(24)]
    bodies = [BYTES[number * 1000 :] for number in range(24)]
    with pumping(threads=3) as pump:
        async with asyncio.TaskGroup() as group:
            for line, sink, body in zip(lines, sinks, bodies, strict=True):
                group.create_task(pump.pour(line.wire, "h", len(body), sink))
                group.create_task(line.send(body))
    assert [sink.kept == body for sink, body in zip(sinks, bodies, strict=True)] == [True] * 24
    assert all(len(sink.threads) == 1 for sink in sinks)
    assert len({name for sink in sinks for name in sink.threads}) == 3
    for line in lines:
        line.close()


async def test_a_flood_starves_nobody_however_small_its_pieces_are(line):
    looks: list[str] = []
    with pumping(threads=1) as pump:
        async with asyncio.TaskGroup() as group:
            floods = [Flood(name, looks, line.wire) for name in "ab"]
            pouring = [group.create_task(pump.pour(flood, "h", 1 << 60, Memory())) for flood in floods]
            await until(lambda: {"a", "b"} <= set(looks))
            seen = len(looks)
            await until(lambda: len(looks) > seen + 1000)
            both = looks[seen:]
            for task in pouring:
                task.cancel()
    runs = [len(list(run)) for _, run in groupby(both)]
    assert max(runs) <= 64


class Flood:
    """A wire that always has one byte more."""

    def __init__(self, name: str, looks: list[str], wire: PlainWire) -> None:
        self.name, self.looks = name, looks
        self.fileno = wire.fileno

    def receive(self, room: memoryview) -> int | None:
        self.looks.append(self.name)
        time.sleep(0.00001)  # lets other threads run, as a look at a socket does
        return 1

    def pending(self) -> bool:
        return True

    def expect(self, size: int) -> None:
        """It never is."""


async def test_what_the_wire_holds_itself_is_taken_though_the_socket_is_silent(line):
    sink = Memory()
    with pumping() as pump:
        assert await pump.pour(Holding(line.wire, [b"one", b"two", b"three"]), "h", 11, sink) == 11
    assert sink.kept == b"onetwothree"


class Holding:
    """A wire that has decrypted some records; it gives one at a time."""

    def __init__(self, wire: PlainWire, records: list[bytes]) -> None:
        self.records = records
        self.fileno = wire.fileno

    def receive(self, room: memoryview) -> int | None:
        if not self.records:
            return None
        record = self.records.pop(0)
        room[: len(record)] = record
        return len(record)

    def pending(self) -> bool:
        return bool(self.records)

    def expect(self, size: int) -> None:
        """It has them already."""


async def test_a5_silence_is_a_timeout_and_what_came_before_is_in_the_sink(line):
    sink = Memory()
    with pumping(silence=0.1) as pump:
        await line.send(b"first")
        with pytest.raises(TimeoutError, match=r"0\.1 s"):
            await pump.pour(line.wire, "h", 100, sink)
    assert sink.kept == b"first"


async def test_a_full_disk_is_not_the_other_sides_silence(line):
    sink = Memory()
    sink.full = True
    with pumping(silence=0.05) as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(line.wire, "h", 5, sink))
            await until(sink.asked.is_set)
            await asyncio.sleep(0.2)
            assert not pouring.done()
            await line.send(b"later")
            sink.free()
    assert sink.kept == b"later"


async def test_no_ring_is_lost_however_the_threads_meet(line):
    """The sink is full and free again at random moments, often before the ring is known to it."""
    sink, over = Memory(block=512), threading.Event()

    def toggle() -> None:
        chance = random.Random(1)
        while not over.is_set():
            sink.full = True
            time.sleep(chance.random() * 0.0003)
            sink.free()
            time.sleep(chance.random() * 0.0003)

    toggling = threading.Thread(target=toggle)
    toggling.start()
    try:
        with pumping() as pump:
            async with sending(line, BYTES[:500_000]):
                assert await pump.pour(line.wire, "h", 500_000, sink) == 500_000
    finally:
        over.set()
        toggling.join()
    assert sink.kept == BYTES[:500_000]


async def test_c1_what_the_sink_raises_reaches_the_caller(line):
    sink = Memory()
    with pumping() as pump:
        async with sending(line):
            sink.failure = DiskUnavailable(doing="write", path="x", why="it is full")
            with pytest.raises(DiskUnavailable) as caught:
                await pump.pour(line.wire, "h", len(BYTES), sink)
    assert caught.value is sink.failure


async def test_c1_a_disk_that_fails_while_it_is_full_ends_the_wait(line):
    sink = Memory()
    sink.full = True
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(_raises(DiskUnavailable, pump.pour(line.wire, "h", 5, sink)))
            await until(sink.asked.is_set)
            sink.failure = DiskUnavailable(doing="write", path="x", why="it is full")
            sink.free()
            await pouring


async def _raises(kind: type[Exception], work) -> None:
    with pytest.raises(kind):
        await work


async def test_a1_a_reset_is_what_the_wire_raises_and_the_others_go_on(line):
    broken = await a_reset_connection()
    with pumping(threads=1) as pump:
        async with sending(line):
            sink = Memory()
            with pytest.raises(ConnectionResetError):
                await pump.pour(broken, "h", 100, Memory())
            assert await pump.pour(line.wire, "h", len(BYTES), sink) == len(BYTES)
    broken.close()


async def a_reset_connection() -> PlainWire:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
    near.setblocking(False)
    return PlainWire(near)


async def test_a_closed_wire_is_an_error_and_not_a_wait(line):
    line.wire.close()
    with pumping() as pump, pytest.raises(OSError):
        await pump.pour(line.wire, "h", 100, Memory())


async def test_i4_a_cancelled_caller_gets_the_wire_back_and_nobody_else_touches_it(line):
    sink = Memory()
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(line.wire, "h", 100, sink))
            await line.send(b"abc")
            await until(lambda: len(sink.kept) == 3)
            pouring.cancel()
            await asyncio.wait([pouring])
            assert pouring.cancelled()
            await line.send(b"mine")
            room = memoryview(bytearray(10))
            await until(lambda: line.wire.receive(room))
    assert bytes(room[:4]) == b"mine"
    assert sink.kept == b"abc"


async def test_i4_cancelled_again_and_again_it_still_waits_until_the_thread_has_let_go(line):
    sink = Slow()
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            await line.send(b"abc")
            pouring = group.create_task(pump.pour(line.wire, "h", 100, sink))
            await until(sink.inside.is_set)
            for _ in range(3):
                pouring.cancel()
                await asyncio.sleep(0.01)
            assert not pouring.done()
            sink.go.set()
            await asyncio.wait([pouring])
            assert pouring.cancelled()
            assert sink.left


class Slow(Memory):
    """A sink whose thread is inside it until it may go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go, self.left = threading.Event(), threading.Event(), False

    def took(self, size: int) -> None:
        self.inside.set()
        self.go.wait(DEADLINE)
        super().took(size)
        self.left = True


async def test_a_ring_after_the_end_disturbs_nobody(line):
    sink = Memory()
    sink.full = True
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(line.wire, "h", 5, sink))
            await until(sink.asked.is_set)
            pouring.cancel()
            await asyncio.wait([pouring])
        rings = list(sink.rings)
        sink.free()
        await line.send(b"abcde")
        assert await pump.pour(line.wire, "h", 5, sink) == 5
    for ring in rings:
        ring()


async def test_closing_ends_what_is_on_its_way_and_what_comes_after(line):
    sink = Memory()
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(_raises(Stopped, pump.pour(line.wire, "h", 5, sink)))
            await until(lambda: sink.threads)
            pump.close()
            await pouring
        with pytest.raises(Stopped):
            await pump.pour(line.wire, "h", 5, sink)


async def test_threads_start_when_there_is_something_to_do(line):
    with pumping(threads=4) as pump:
        assert not running()
        for _ in range(3):
            await line.send(b"abc")
            await pump.pour(line.wire, "h", 3, Memory())
        assert running() == {"pump-0"}


async def test_a_thread_that_breaks_fails_its_bodies_and_is_replaced(line, monkeypatch):
    other = Line()
    with pumping(threads=1) as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(_raises(MemoryError, pump.pour(line.wire, "h", 5, Memory())))
            await until(lambda: pump._workers and pump._workers[0]._selector.get_map())
            monkeypatch.setattr(pump._workers[0], "_watch", _break)
            await line.send(b"abc")
            await pouring
        await other.send(b"abcde")
        assert await pump.pour(other.wire, "h", 5, Memory()) == 5
    other.close()


def _break() -> None:
    raise MemoryError


async def test_bodies_keep_to_the_rate_and_share_it():
    lines, sinks = [Line() for _ in range(4)], [Memory() for _ in range(4)]
    with pumping(Quotas(rate=Quota(total=400_000))) as pump:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for line, sink in zip(lines, sinks, strict=True):
                group.create_task(line.send(BYTES[:50_000]))
                group.create_task(pump.pour(line.wire, "h", 50_000, sink))
        assert time.monotonic() - begun > 0.15
    assert all(sink.kept == BYTES[:50_000] for sink in sinks)
    for line in lines:
        line.close()


async def test_another_rate_counts_at_once_for_bodies_that_wait_and_waiting_is_not_silence(line):
    limits = Limits(Quotas(rate=Quota(each=100)))
    sink = Memory()
    with Pump(limits, silence=0.05) as pump:
        async with sending(line), asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(line.wire, "h", len(BYTES), sink))
            await until(lambda: sink.kept)
            await asyncio.sleep(0.15)
            assert not pouring.done()
            limits.quotas = Quotas()
            assert await pouring == len(BYTES)
    assert sink.kept == BYTES


async def test_a_short_body_waits_for_the_debt_of_those_before_it(line):
    limits = Limits(Quotas(rate=Quota(each=1000)))
    limits.spent("h", 10**9)
    with Pump(limits) as pump:
        async with asyncio.TaskGroup() as group:
            await line.send(b"abc")
            pouring = group.create_task(pump.pour(line.wire, "h", 3, Memory()))
            await asyncio.sleep(0.05)
            assert not pouring.done()
            limits.quotas = Quotas()


async def test_a_body_that_waits_for_its_share_can_be_cancelled(line):
    sink = Memory()
    with pumping(Quotas(rate=Quota(each=10))) as pump:
        async with sending(line), asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(line.wire, "h", len(BYTES), sink))
            await until(lambda: sink.kept)
            pouring.cancel()


async def test_a5_little_that_came_is_not_kept_waiting_for_more():
    """The kernel is asked to wake us for much; a slow line never has so much at once."""
    near, far = tcp_pair()
    sink = Memory()
    with pumping() as pump:
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(pump.pour(near, "h", len(BYTES), sink))
            for size in (1, 1000, 60_000):
                far.sendall(BYTES[len(sink.kept) : len(sink.kept) + size])
                expected = len(sink.kept) + size
                await until(lambda expected=expected: len(sink.kept) == expected)
            pouring.cancel()
        far.sendall(b"x")
        await until(lambda: near.receive(memoryview(bytearray(1))))
    near.close()
    far.close()


def tcp_pair() -> tuple[PlainWire, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    return PlainWire(near), far


async def test_tls_is_received_to_its_last_byte_though_the_socket_falls_silent_before():
    """What was decrypted already does not make the socket readable."""
    async with encrypted(BYTES) as wire:
        sink = Memory(block=1000)
        with pumping() as pump:
            assert await pump.pour(wire, "h", len(BYTES), sink) == len(BYTES)
    assert sink.kept == BYTES


@asynccontextmanager
async def encrypted(data: bytes) -> AsyncIterator[TlsWire]:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
    near = socket.create_connection(server.sockets[0].getsockname())
    near.setblocking(False)
    wire = TlsWire(PlainWire(near), ours, "localhost", Scratch())
    await until(wire.shake)
    yield wire
    wire.close()
    server.close()
    await server.wait_closed()
