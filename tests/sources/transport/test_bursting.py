from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from model_manager.sources.transport.bursting import LOW, burst
from model_manager.sources.transport.wire import PlainWire

DEADLINE = 30
pytestmark = pytest.mark.timeout(DEADLINE)
BYTES = random.Random(5).randbytes(5 * LOW + 4321)
BLOCK = 2 * LOW


class Memory:
    """A sink of blocks, each filled before the next; `blocks` of them, the others when somebody gives."""

    def __init__(self, blocks: int = 100, enough: int = 1 << 40) -> None:
        self.kept = bytearray()
        self.enough = enough
        self.calls = 0
        self._left = blocks
        self._block = memoryview(bytearray(BLOCK))
        self._rings: list[Callable[[], None]] = []
        self.waited = threading.Event()

    def room(self) -> memoryview | None:
        inside = len(self.kept) % BLOCK
        if not inside and len(self.kept) // BLOCK >= self._left:
            return None
        return self._block[inside : min(BLOCK, inside + self.enough - len(self.kept))]

    def took(self, size: int) -> None:
        self.calls += 1
        inside = len(self.kept) % BLOCK
        self.kept += self._block[inside : inside + size]

    def when_free(self, ring: Callable[[], None]) -> None:
        self._rings.append(ring)
        self.waited.set()

    def give(self, blocks: int) -> None:
        self._left += blocks
        for ring in self._rings:
            ring()


class Far:
    """Two ends of a TCP connection; `say` sends from a thread."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            self.socket, _ = server.accept()
        near.setblocking(False)
        self.wire = PlainWire(near)

    @contextmanager
    def says(self, data: bytes, *, end: bool = False) -> Iterator[None]:
        def say() -> None:
            with suppress(OSError):  # of who wants no more
                self.socket.sendall(data)
            if end:
                self.socket.close()

        speaking = threading.Thread(target=say)
        speaking.start()
        try:
            yield
        finally:
            speaking.join()


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    yield far
    far.socket.close()
    far.wire.close()


def never() -> bool:
    return False


def test_a_body_comes_in_few_calls_and_what_follows_stays(far: Far) -> None:
    sink = Memory()
    with far.says(BYTES + b"next answer"):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, never) == len(BYTES)
    assert sink.kept == BYTES
    assert sink.calls == -(-len(BYTES) // BLOCK) + 1
    room = memoryview(bytearray(64))
    while (size := far.wire.receive(room)) is None:
        pass
    assert bytes(room[:size]) == b"next answer"


def test_what_came_with_the_head_comes_first(far: Far) -> None:
    sink = Memory()
    far.wire.unread(BYTES[:1000])
    with far.says(BYTES[1000:]):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, never) == len(BYTES)
    assert sink.kept == BYTES


def test_the_wire_waits_for_nobody_afterwards(far: Far) -> None:
    with far.says(b"abc"):
        assert burst(far.wire, 3, Memory(), DEADLINE, never) == 3
    assert far.wire.receive(memoryview(bytearray(1))) is None


def test_a2_a_line_that_stalls_is_given_back_with_what_came(far: Far) -> None:
    sink = Memory()
    with far.says(BYTES[:70_000]):
        assert burst(far.wire, len(BYTES), sink, 0.2, never) == 70_000
    assert sink.kept == BYTES[:70_000]
    assert far.wire.receive(memoryview(bytearray(1))) is None
    assert not far.wire.ended


def test_b7_an_early_end_is_a_short_count(far: Far) -> None:
    sink = Memory()
    with far.says(BYTES[:70_000], end=True):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, never) == 70_000
    assert sink.kept == BYTES[:70_000]


def test_a1_a_reset_is_what_the_wire_raises(far: Far) -> None:
    far.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.socket.close()
    with pytest.raises(ConnectionResetError):
        burst(far.wire, len(BYTES), Memory(), DEADLINE, never)
    assert isinstance(far.wire.fault, ConnectionResetError)


def test_a_sink_that_has_enough_ends_it(far: Far) -> None:
    sink = Memory(enough=BLOCK + 5)
    with far.says(BYTES):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, never) == BLOCK + 5
        far.wire.close()


def test_memory_that_others_give_back_is_waited_for(far: Far) -> None:
    sink = Memory(blocks=1)

    def give() -> None:
        sink.waited.wait(DEADLINE)
        sink.give(10)

    giving = threading.Thread(target=give)
    giving.start()
    with far.says(BYTES):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, never) == len(BYTES)
    giving.join()
    assert sink.kept == BYTES


def test_without_memory_it_ends_with_what_came(far: Far) -> None:
    sink = Memory(blocks=1)
    with far.says(BYTES[: 2 * BLOCK]):
        assert burst(far.wire, len(BYTES), sink, 0.2, never) == BLOCK
    assert sink.kept == BYTES[:BLOCK]


def test_i4_nothing_more_is_received_when_it_is_over(far: Far) -> None:
    sink = Memory()
    with far.says(BYTES[: 2 * BLOCK]):
        assert burst(far.wire, len(BYTES), sink, DEADLINE, lambda: bool(sink.kept)) == BLOCK
    assert sink.kept == BYTES[:BLOCK]
