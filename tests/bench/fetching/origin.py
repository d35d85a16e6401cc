"""The origin on loopback: nginx, or where it is absent a small server of our own that sends files by sendfile."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from tests.bench.fetching.cells import RATE, Cell
from tests.bench.fetching.running import ROOT

PATIENCE: Final = 20.0
"""Seconds until the origin must answer."""

HOST: Final = "127.0.0.1"

NGINX: Final = """
daemon off;
{user}
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen {host}:{plain};
    listen {host}:{tls} ssl;
    ssl_certificate {home}/server.pem;
    ssl_certificate_key {home}/server.pem;
    location /full/ {{ alias {files}/; }}
    location /slow/ {{ alias {files}/; limit_rate {rate}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where it listens, and the authority that vouches for it."""

    kind: str
    plain: int
    tls: int
    ca_file: Path

    def url(self, cell: Cell, name: str, *, tls: bool | None = None) -> str:
        """The address of a file in the circumstances of a cell, which `tls` overrides."""
        secure = cell.tls if tls is None else tls
        scheme, port = ("https", self.tls) if secure else ("http", self.plain)
        return f"{scheme}://{HOST}:{port}/{'slow' if cell.throttled else 'full'}/{name}"


def installed() -> str | None:
    """nginx, if it is here."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def origin(home: Path, files: Path, nginx: str | None) -> Iterator[Origin]:
    """Serves `files`, which may come later, for the length of a block; without `nginx` by our own small server."""
    home.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "ca.pem")
    authority.issue_cert(HOST, "localhost").private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    plain, tls = _free_ports(2)
    command = _nginx(nginx, home, files, plain, tls) if nginx else _own(home, files, plain, tls)
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        for port in (plain, tls):
            _await(port, process)
        yield Origin(kind="nginx" if nginx else "our own origin", plain=plain, tls=tls, ca_file=home / "ca.pem")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def _nginx(program: str, home: Path, files: Path, plain: int, tls: int) -> Sequence[str]:
    user = "user root;" if os.geteuid() == 0 else ""
    content = NGINX.format(home=home, files=files, plain=plain, tls=tls, host=HOST, rate=RATE, user=user)
    (home / "nginx.conf").write_text(content)
    return program, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")


def _own(home: Path, files: Path, plain: int, tls: int) -> Sequence[str]:
    ports = str(plain), str(tls)
    return sys.executable, "-m", "tests.bench.fetching.sendfile", str(files), *ports, str(home / "server.pem")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the origin does not answer at port {port} (it ended with {process.poll()})")
