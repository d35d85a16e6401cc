"""The bodies of all downloads, received by a few threads straight into the memory of their sinks.

The event loop makes a connection and reads an answer's headers; then it hands the wire over and waits. A thread looks
after many wires: it receives what is there and goes on to the next, so its lock is let go of once for some hundred
kilobytes, and the event loop stays free.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final

from model_manager.errors import Stopped
from model_manager.sources.origin import Sink
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.wire import Wire

TURN: Final = 1 << 20
"""Bytes that one wire may bring before the others get their turn."""
STEP: Final = TURN // 64
"""What every look at a wire counts for, however little it brings: 64 looks are a turn too."""
LOW: Final = TURN // 2
"""Bytes that should be there before a wire is looked at again: each look asks for the interpreter."""
PATIENCE: Final = 0.25
"""Seconds after which a wire that has not brought so many is looked at all the same."""
LOOK_SECONDS: Final = 0.1
"""How soon those who wait for their quota notice that it has changed."""


class _Waits(enum.Enum):
    """What a body waits for."""

    TURN = "its turn"
    BYTES = "bytes from the other side"
    ROOM = "room in its sink"
    QUOTA = "its share of what downloads may take"
    NOTHING = "nothing more: it is over"


class _Body:
    """One body on its way. Only its thread touches it, until the future is done."""

    __slots__ = ("done", "fd", "host", "left", "loop", "since", "sink", "waits", "wire")

    def __init__(self, wire: Wire, host: str, size: int, sink: Sink) -> None:
        self.wire, self.host, self.left, self.sink = wire, host, size, sink
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.waits = _Waits.TURN
        self.fd: int | None = None
        """As what the selector knows it, while it does."""
        self.since = 0.0
        """When the last byte came, or when the wait for it began."""

    def settle(self, failure: BaseException | None) -> None:
        """From the thread: it has let go."""
        with suppress(RuntimeError):  # of a loop that has been closed: nobody waits there any more
            self.loop.call_soon_threadsafe(_settle, self.done, failure)


def _settle(done: asyncio.Future[None], failure: BaseException | None) -> None:
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


class _Post:
    """Work that other threads leave for a thread that sleeps in a selector, and the bell that wakes it."""

    def __init__(self) -> None:
        self.ear, self._bell = socket.socketpair()
        self.ear.setblocking(False)
        self._lock = threading.Lock()
        self._letters: list[Callable[[], None]] = []
        self._open = True

    def send(self, letter: Callable[[], None]) -> bool:
        """Never waits. False: the thread has ended, nobody will read it."""
        with self._lock:
            if self._open and not self._letters:
                self._bell.send(b"\0")
            if self._open:
                self._letters.append(letter)
            return self._open

    def take(self) -> list[Callable[[], None]]:
        with self._lock:
            if self._letters:
                self.ear.recv(1)
            letters, self._letters = self._letters, []
            return letters

    def close(self) -> list[Callable[[], None]]:
        """What came last."""
        letters = self.take()
        with self._lock:
            letters += self._letters
            self._open = False
            self.ear.close()
            self._bell.close()
            return letters


class _Worker:
    """A thread and the wires that it looks after."""

    def __init__(self, name: str, limits: Limits, silence: float) -> None:
        self._limits, self._silence = limits, silence
        self._patience = min(PATIENCE, silence / 4)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._post = _Post()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._post.ear, selectors.EVENT_READ)
        self._bodies: set[_Body] = set()
        self._turns: deque[_Body] = deque()
        self._held: list[tuple[float, int, _Body]] = []
        self._holds = 0
        self._edition = limits.edition
        self._look_at = 0.0
        self._stopping = False
        self.load = 0
        """How many bodies it was given and has not given back; kept by the pump."""

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as failure:
            self._close(None)
            raise OSError(errno.EAGAIN, "no thread can be started") from failure

    def stop(self) -> None:
        self._post.send(self._stop)
        self._thread.join()

    def give(self, body: _Body) -> bool:
        """False: it has ended."""
        return self._post.send(partial(self._begin, body))

    def drop(self, body: _Body) -> None:
        self._post.send(partial(self._end, body))

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            while not self._stopping:
                self._round()
        except Exception as broken:
            failure = broken
        self._close(failure)

    def _round(self) -> None:
        for key, _ in self._selector.select(self._rest()):
            if key.data is not None and key.data.waits is _Waits.BYTES:
                self._line_up(key.data)
        for letter in self._post.take():
            letter()
        if self._held:
            self._release()
        for _ in range(len(self._turns)):
            body = self._turns.popleft()
            if body.waits is _Waits.TURN:
                self._attend(body)
        self._watch()

    def _rest(self) -> float | None:
        """Seconds to sleep at most."""
        if self._turns:
            return 0
        if self._held:
            return min(max(0.0, self._held[0][0] - time.monotonic()), LOOK_SECONDS)
        return max(0.0, self._look_at - time.monotonic()) if self._bodies else None

    def _begin(self, body: _Body) -> None:
        self._bodies.add(body)
        wait = self._limits.spent(body.host, 0)
        if wait > 0:
            self._hold(body, wait)
        else:
            self._line_up(body)

    def _line_up(self, body: _Body) -> None:
        body.waits = _Waits.TURN
        self._turns.append(body)

    def _attend(self, body: _Body) -> None:
        try:
            self._receive(body)
        except Exception as failure:
            self._end(body, failure)

    def _receive(self, body: _Body) -> None:
        """What the wire has, until there is a reason to stop."""
        wire, sink, host, limits = body.wire, body.sink, body.host, self._limits
        turn = TURN
        while turn > 0:
            room = sink.room()
            if room is None:
                return self._await_room(body)
            want = limits.grant(host, min(len(room), body.left))
            size = wire.receive(room[:want]) if want else 0
            if size is None:
                return self._await_bytes(body)
            if not size:
                return self._end(body)
            sink.took(size)
            body.left -= size
            body.since = 0.0
            if not body.left:
                return self._end(body)
            wait = limits.spent(host, size)
            if wait > 0:
                return self._hold(body, wait)
            if size < want and not wire.pending():
                return self._await_bytes(body)
            turn -= max(size, STEP)
        return self._turns.append(body)

    def _await_bytes(self, body: _Body) -> None:
        body.waits = _Waits.BYTES
        body.since = body.since or time.monotonic()
        body.wire.expect(min(LOW, body.left))
        if body.fd is None:
            fd = body.wire.fileno()
            self._selector.register(fd, selectors.EVENT_READ, body)
            body.fd = fd

    def _await_room(self, body: _Body) -> None:
        self._look_away(body, _Waits.ROOM)
        body.sink.when_free(lambda: self._ring(body))

    def _ring(self, body: _Body) -> None:
        self._post.send(partial(self._resume, body))

    def _resume(self, body: _Body) -> None:
        if body.waits is _Waits.ROOM:
            self._line_up(body)

    def _hold(self, body: _Body, wait: float) -> None:
        self._look_away(body, _Waits.QUOTA)
        self._holds += 1
        heapq.heappush(self._held, (time.monotonic() + wait, self._holds, body))

    def _look_away(self, body: _Body, waits: _Waits) -> None:
        """The bytes that come meanwhile stay where they are, and the time is not the other side's silence."""
        body.waits = waits
        body.since = 0.0
        if body.fd is not None:
            self._selector.unregister(body.fd)
            body.fd = None

    def _release(self) -> None:
        """Those whose time has come; after a change of quotas everybody, each to wait as the new ones say."""
        now, edition = time.monotonic(), self._limits.edition
        if edition != self._edition:
            self._edition = edition
            bodies, self._held = [body for _, _, body in self._held], []
            for body in bodies:
                if body.waits is _Waits.QUOTA:
                    self._hold(body, self._limits.spent(body.host, 0))
        while self._held and self._held[0][0] <= now:
            body = heapq.heappop(self._held)[2]
            if body.waits is _Waits.QUOTA:
                self._line_up(body)

    def _watch(self) -> None:
        """Now and then: whose other side has been silent for too long, and who brings little?"""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + self._patience / 2
        for body in [body for body in self._bodies if body.waits is _Waits.BYTES]:
            if now - body.since >= self._silence:
                self._end(body, TimeoutError(f"not a byte came for {self._silence:g} s"))
            elif now - body.since >= self._patience:
                body.wire.expect(1)

    def _end(self, body: _Body, failure: BaseException | None = None) -> None:
        if body.waits is _Waits.NOTHING:
            return
        self._look_away(body, _Waits.NOTHING)
        body.wire.expect(1)
        self._bodies.discard(body)
        body.settle(failure)

    def _stop(self) -> None:
        self._stopping = True

    def _close(self, failure: Exception | None) -> None:
        for letter in self._post.close():
            letter()
        for body in list(self._bodies):
            self._end(body, failure or Stopped(what=f"The download from {body.host}"))
        self._selector.close()


class Pump:
    """Receives bodies for the whole process. A context manager; its threads start when there is something to do."""

    def __init__(self, limits: Limits, threads: int = 2, silence: float = 30.0) -> None:
        """At most so many `threads`. `silence`: seconds after which a wire that brings nothing is given up."""
        self._limits, self._threads, self._silence = limits, threads, silence
        self._workers: list[_Worker] = []
        self._closed = False

    async def pour(self, wire: Wire, host: str, size: int, sink: Sink) -> int:
        """Receive `size` bytes into the sink, within what the limits allow `host`.

        How many came: fewer when the sink has enough or the other side closed. Nobody else may touch the wire meanwhile;
        a cancelled caller gets it back before it goes on.

        Raises TimeoutError on silence, what the wire raises (OSError, ssl.SSLError), what the sink raises, and Stopped
        when the pump is closed. What came before is in the sink.
        """
        if not size:
            return 0
        body = _Body(wire, host, size, sink)
        worker = self._give(body)
        worker.load += 1
        try:
            await asyncio.shield(body.done)
        except asyncio.CancelledError:
            worker.drop(body)
            await _end_of(body.done)
            raise
        finally:
            worker.load -= 1
        return size - body.left

    def _give(self, body: _Body) -> _Worker:
        while not self._closed:
            worker = self._least_loaded()
            if worker.give(body):
                return worker
            self._workers.remove(worker)
        raise Stopped(what=f"The download from {body.host}")

    def _least_loaded(self) -> _Worker:
        best = min(self._workers, key=lambda worker: worker.load, default=None)
        if best is not None and (not best.load or len(self._workers) == self._threads):
            return best
        worker = _Worker(f"pump-{len(self._workers)}", self._limits, self._silence)
        worker.start()
        self._workers.append(worker)
        return worker

    def close(self) -> None:
        """End the threads. Bodies that are on their way raise Stopped."""
        self._closed = True
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()

    def __enter__(self) -> Pump:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _end_of(done: asyncio.Future[None]) -> None:
    """However often we are cancelled meanwhile: the thread has to let go first."""
    while not done.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([done])
    done.exception()
