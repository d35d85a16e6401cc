"""A small fast origin for machines without nginx: `python -m … FILES PORT TLS_PORT PEM`. One process a core, a thread a
connection; GET and HEAD with one range, a strong ETag, `/slow/` paced to RATE."""

from __future__ import annotations

import mmap
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.bench.fetching.cells import RATE
from tests.bench.fetching.origin import HOST

SLICE: Final = 256 * 1024
RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


class Server(ThreadingHTTPServer):
    """Answers on a socket that it was given; with a context, over TLS, shaken hands in the connection's own thread."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, files: Path, context: ssl.SSLContext | None) -> None:
        super().__init__((HOST, 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.files = files
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        wrapped = self._context.wrap_socket(request, server_side=True) if self._context else request
        super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self._begin()

    def do_GET(self) -> None:
        opened = self._begin()
        if opened is not None:
            with opened[0] as file:
                self._send(file.fileno(), *opened[1:])

    def _begin(self) -> tuple[Any, int, int] | None:
        path = self.server.files / Path(self.path).name
        if not path.is_file():
            self.send_error(404)
            return None
        file, size = path.open("rb"), path.stat().st_size
        found = RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        stop = min(size, int(found[2]) + 1) if found and found[2] else size
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{path.stat().st_mtime_ns:x}-{size:x}"')
        self.end_headers()
        self.wfile.flush()
        return file, start, stop

    def _send(self, file: int, start: int, stop: int) -> None:
        secure = isinstance(self.connection, ssl.SSLSocket)
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            for at, size in self._slices(start, stop):
                if secure:
                    self.connection.sendall(view[at : at + size])
                else:
                    _sent(self.connection.fileno(), file, at, size)

    def _slices(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        slow, begun = self.path.startswith("/slow/"), time.monotonic()
        step = SLICE if slow else SLICE * 64
        for at in range(start, stop, step):
            if slow:
                time.sleep(max(0.0, begun + (at - start) / RATE - time.monotonic()))
            yield at, min(step, stop - at)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it would cost more than the answer."""


def _sent(connection: int, file: int, at: int, size: int) -> None:
    while size:
        count = os.sendfile(connection, file, at, size)
        at, size = at + count, size - count


def main(files: str, plain: str, tls: str, pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    doors = [
        (socket.create_server((HOST, int(port)), backlog=512), guard) for port, guard in ((plain, None), (tls, context))
    ]
    for _ in range((os.cpu_count() or 1) - 1):
        if os.fork() == 0:
            break
    serving: list[Callable[[], None]] = [Server(door, Path(files), guard).serve_forever for door, guard in doors]
    threading.Thread(target=serving[0], daemon=True).start()
    serving[1]()


if __name__ == "__main__":
    main(*sys.argv[1:])
