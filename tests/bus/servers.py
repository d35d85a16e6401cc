"""Real servers for tests: started, stopped, killed and frozen at will, each on a unix socket of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

import redis

from model_manager.bus.embedded import _binary

DEADLINE = 20.0


def binary(name: str) -> str:
    return str(_binary()) if name == "valkey" else str(shutil.which("redis-server"))


class Server:
    """A server in a directory with a short name (unix sockets have short paths). Without options it keeps nothing."""

    def __init__(self, name: str, *options: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mm-"))
        self.socket = self.directory / "s"
        self.url = f"unix://{self.socket}"
        self._command = [binary(name), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        self._command += ["--save", "", "--logfile", str(self.directory / "log"), *options]
        self.start()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        weakref.finalize(self, self._process.kill)  # whatever a test does not come to
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                self.client().ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                assert self._process.poll() is None, (self.directory / "log").read_text()
                time.sleep(0.01)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2)

    def spent(self) -> int:
        """ns of the processor that the server took until now; it rests first, for what runs is not counted to its end."""
        deadline = time.monotonic() + DEADLINE
        while not self._is("S") and time.monotonic() < deadline:
            os.sched_yield()
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        while not self._is("T"):
            os.sched_yield()

    def _is(self, state: str) -> bool:
        return state in Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[:1]

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.thaw()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
