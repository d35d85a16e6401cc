"""A server on loopback, on a thread of its own: files by path, JSON by path, and what was asked of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Shelf:
    """`files`: path → bytes; `answers`: path → what is answered as JSON; `asked`: paths with their queries, in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.host = ""

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def put(self, path: str, data: bytes) -> str:
        """Its address."""
        self.files[path] = data
        return self.url(path)


@contextmanager
def served() -> Iterator[Shelf]:
    shelf = Shelf()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            shelf.asked.append(self.path)
            path = self.path.partition("?")[0]
            if path in shelf.answers:
                self._say(200, json.dumps(shelf.answers[path]).encode(), "application/json")
            elif path in shelf.files:
                self._say(200, shelf.files[path], "application/octet-stream")
            else:
                self._say(404, b"{}", "application/json")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def _say(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shelf.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
