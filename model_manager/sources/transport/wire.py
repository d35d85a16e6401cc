"""Where the bytes of a connection come from: a socket, or TLS over one. Non-blocking, so that a loop or a thread may read."""

from __future__ import annotations

import ctypes
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol, cast

SCRATCH: Final = 512 * 1024
"""Bytes of TLS records that one look at a socket takes: each look asks for the interpreter."""

_UNSENT: Final = 64 * 1024
"""Bytes that may wait to be sent. Requests are small, and nobody may make us collect answers to what he sends."""


class Wire(Protocol):
    """The receiving end of a connection. One thread at a time; no call blocks."""

    def fileno(self) -> int: ...

    def receive(self, room: memoryview) -> int | None:
        """Bytes put into the (not empty) room. None: nothing there now; 0: the other side has closed.

        Raises OSError and ssl.SSLError, after everything that came before the failure was handed out.
        """

    def pending(self) -> bool:
        """Whether `receive` may have bytes although the socket is not readable. May be a yes in vain, never a no in vain."""

    def expect(self, size: int) -> None:
        """Only a wish: the socket is readable when so many bytes are there, or the end; 1, as in the beginning, for any."""


class Carrier(Wire, Protocol):
    """A wire that also sends, and that takes back what was read too early."""

    ended: bool
    """Whether the other side has closed."""

    fault: Exception | None
    """What `receive` has raised."""

    def unread(self, data: bytes) -> None:
        """These bytes come first again."""

    def send(self, data: bytes) -> None:
        """As much as the socket takes now; the rest is `unsent`. Raises as `receive` does."""

    @property
    def unsent(self) -> bool:
        """Whether bytes wait until the socket is writable; `send(b"")` then goes on with them."""

    def close(self) -> None: ...


class Scratch(threading.local):
    """Memory for records on their way through, one for each thread that reads."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(SCRATCH))


class _Rest:
    """Bytes that were read too early, to be read again."""

    def __init__(self) -> None:
        self._view = memoryview(b"")

    def __bool__(self) -> bool:
        return bool(self._view)

    def put(self, data: bytes) -> None:
        self._view = memoryview(data + self._view)

    def into(self, room: memoryview) -> int:
        """Copied without the interpreter: memory that nobody has touched is given by the system first, which may take long."""
        size = min(len(room), len(self._view))
        if size:
            ctypes.memmove(ctypes.addressof(ctypes.c_char.from_buffer(room)), bytes(self._view[:size]), size)
        self._view = self._view[size:]
        return size


class PlainWire:
    """A connected, non-blocking socket; closed with the wire."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = _Rest()
        self._out = bytearray()
        self._low = 1
        self.ended = False
        self.fault: Exception | None = None

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self, room: memoryview) -> int | None:
        return self._received(room, 0)

    def _received(self, room: memoryview, flags: int) -> int | None:
        if self._rest:
            return self._rest.into(room)
        try:
            size = self._sock.recv_into(room, 0, flags)
        except BlockingIOError:
            return None
        except OSError as error:
            self.fault = error
            raise
        self.ended = not size
        return size

    def pending(self) -> bool:
        return bool(self._rest)

    def expect(self, size: int) -> None:
        if size != self._low:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            self._low = size

    @contextmanager
    def patient(self, seconds: float) -> Iterator[Callable[[memoryview], int | None]]:
        """A `receive` for the length of the block that waits for so many seconds until the room is full."""
        microseconds = int(seconds * 1_000_000)
        self._sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", *divmod(microseconds, 1_000_000))
        )
        self._sock.setblocking(True)
        try:
            yield self._filled
        finally:
            self._sock.setblocking(False)

    def _filled(self, room: memoryview) -> int | None:
        return self._received(room, socket.MSG_WAITALL)

    def unread(self, data: bytes) -> None:
        self._rest.put(data)

    def send(self, data: bytes) -> None:
        self._out += data
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            if len(self._out) > _UNSENT:
                raise ConnectionAbortedError("it does not read what it asks for") from None

    @property
    def unsent(self) -> bool:
        return bool(self._out)

    def close(self) -> None:
        self._sock.close()


class TlsWire:
    """TLS over another wire, through memory: nothing here waits, and TLS may be carried in TLS."""

    def __init__(self, inner: Carrier, context: ssl.SSLContext, host: str, scratch: Scratch) -> None:
        """`host`: whose certificate is asked for. `scratch` is shared by wires, but not with those inside this one."""
        self._inner = inner
        self._scratch = scratch
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._open = cast(Callable[[int, memoryview], int], self._tls.read)
        self._rest = _Rest()
        self._more = self._dry = False
        self.ended = False
        self.fault: Exception | None = None

    def fileno(self) -> int:
        return self._inner.fileno()

    def shake(self) -> bool:
        """One step of the handshake. False: more has to come (or to be sent) first. Raises ssl.SSLError and OSError."""
        while True:
            try:
                self._tls.do_handshake()
                return True
            except ssl.SSLWantReadError:
                self._answer()
                if self._fill() is None:
                    return False
            finally:
                self._answer()

    def receive(self, room: memoryview) -> int | None:
        if self._rest:
            return self._rest.into(room)
        if self.fault:
            raise self.fault
        done = 0
        try:
            while (count := self._opened(room[done:], wait=not done)) is not None:
                done += count
                if done == len(room) or not count:
                    break
        except OSError as error:
            self.fault = error
            if not done:
                raise
        return done or (0 if self.ended else None)

    def _opened(self, room: memoryview, *, wait: bool) -> int | None:
        """The next record's bytes; None when the socket has to bring more. `wait`: it is looked at in any case."""
        while not self.ended:
            try:
                count = self._open(len(room), room)
            except ssl.SSLWantReadError:
                if self._dry and not wait:
                    break
                if self._fill() is None:
                    break
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                self.ended = True
            else:
                self.ended, self._more = not count, True
                return count
        self._more = self._dry = False
        return 0 if self.ended else None

    def _fill(self) -> int | None:
        """Bytes that came off the inner wire; None when there are none now."""
        view = self._scratch.view
        size = self._inner.receive(view)
        if size:
            self._incoming.write(view[:size])
        elif size == 0:
            self._incoming.write_eof()
        self._dry = size is not None and size < len(view)
        self._answer()
        return size

    def _answer(self) -> None:
        """What TLS itself has to say: the handshake, new keys, alerts."""
        if self._outgoing.pending:
            self._inner.send(self._outgoing.read())

    def pending(self) -> bool:
        return bool(self._rest) or self._more or self.fault is not None or self._inner.pending()

    def expect(self, size: int) -> None:
        """How many bytes of records that makes is not known."""

    def unread(self, data: bytes) -> None:
        self._rest.put(data)

    def send(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
        self._inner.send(self._outgoing.read())

    @property
    def unsent(self) -> bool:
        return self._inner.unsent

    def close(self) -> None:
        self._inner.close()
