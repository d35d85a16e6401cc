"""An agent's socket with nothing behind it: a real HTTP server on a unix socket that answers what it is told."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class Gate(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.was_asked = threading.Event()

    def closed(self, *reasons: str) -> None:
        self.answers["/ready"] = (503, {"ready": False, "reasons": list(reasons), "generation": "g", "workflows": {}})

    def open(self) -> None:
        self.answers["/ready"] = (200, {"ready": True, "reasons": [], "generation": "g", "workflows": {}})


class Handler(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, content = self.server.answers.get(self.path, (404, {"error": "no such workflow"}))
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.server.was_asked.set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append(json.loads(body) if body else None)
        self.do_GET()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """The tests read standard error."""


@contextmanager
def gate_at(path: Path) -> Iterator[Gate]:
    path.unlink(missing_ok=True)
    with Gate(path) as gate:
        gate.closed("checkpoints/a.safetensors is missing")
        thread = threading.Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield gate
        finally:
            gate.shutdown()
            thread.join()
            path.unlink(missing_ok=True)
