"""A whole machine for stories: the real program in its own process, seen from outside only."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_manager.catalog.run import serve
from model_manager.cli.channel import ask
from model_manager.errors import AgentAway

PROGRAM = [str(Path(sys.executable).with_name("model-manager"))]
BUSY_HOST = 5
"""Times that a promised second may take where several machines share two cores."""

CANARIES = {"HF_TOKEN": "hf_CANARYCANARYCANARY", "CIVITAI_TOKEN": "civitaiCANARYCANARYCANARY"}
QUICK = {
    "MODEL_MANAGER_SETTLE_SECONDS": "0.2",
    "MODEL_MANAGER_HEARTBEAT_SECONDS": "0.5",
    "MODEL_MANAGER_DISK_FLOOR": "1000000",
    "MODEL_MANAGER_RECONCILE_SECONDS": "5",
    "MODEL_MANAGER_CATALOG_POLL_SECONDS": "1",
}


def safetensors(size: int, seed: int = 0) -> bytes:
    """A valid safetensors file of exactly `size` bytes (at least 200)."""
    count = size - 128
    header = json.dumps({"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    header += b" " * (120 - len(header))
    return struct.pack("<Q", 120) + header + random.Random(seed).randbytes(count)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def record(name: str, url: str, save_to: str, data: bytes | None = None, **more: Any) -> dict[str, Any]:
    """A catalog record; `data` pins its sha256 and size."""
    body: dict[str, Any] = {"name": name, "downloadUrl": url, "saveTo": save_to}
    if data is not None:
        body |= {"hash": sha256(data), "fileSize": len(data)}
    return body | more


def workflow(name: str, *models: str, optional: Iterable[str] = ()) -> dict[str, Any]:
    return {"name": name, "models": [*models], "optional": [*optional]}


@dataclass
class Machine:
    """`model-manager run` with `environ` over quick settings. `start` it; `directory` must be short enough for a socket."""

    directory: Path
    catalog_url: str
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def store(self) -> Path:
        return Path(self.environ.get("MODEL_MANAGER_STORE", self.directory / "models"))

    @property
    def socket(self) -> Path:
        return self.state / "control.sock"

    @property
    def output(self) -> Path:
        return self.directory / "output.log"

    def environment(self) -> dict[str, str]:
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MODEL_", "REDIS_", "HF_", "CIVITAI_"))
        }
        ours = {
            "MODEL_MANAGER_STATE_DIR": str(self.state),
            "MODEL_MANAGER_STORE": str(self.store),
            "MACHINE_ID": "m1",
            "EMPROPS_API_BASE_URL": self.catalog_url,
        }
        return clean | QUICK | CANARIES | ours | self.environ

    def start(self, *prefix: str) -> subprocess.Popen[bytes]:
        """Start it; `prefix` is a command in front of it (strace, faketime)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*prefix, *PROGRAM, "run"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def log(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        return ask(self.socket, method, path, timeout=10)

    def status(self) -> dict[str, Any]:
        return self.ask("/status")[1]

    def ready(self) -> bool:
        try:
            return self.ask("/ready")[0] == 200
        except AgentAway:
            return False

    async def until(self, condition: Callable[[], bool], what: str, at_most: float = 30.0) -> None:
        """Wait for a condition; the failure shows the log. AgentAway counts as not yet.

        `at_most` is what the machine promises; a host that runs other tests beside it is given more.
        """
        deadline = time.monotonic() + max(at_most, min(BUSY_HOST * at_most, 60))
        while True:
            with contextlib.suppress(AgentAway, FileNotFoundError):
                if await asyncio.to_thread(condition):
                    return
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {at_most} s: {what}\n{self.log()[-4000:]}")
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(
                    f"exited with {self.process.returncode} while waiting: {what}\n{self.log()[-4000:]}"
                )
            await asyncio.sleep(0.05)

    async def until_ready(self, at_most: float = 30.0) -> None:
        await self.until(self.ready, "ready", at_most)

    async def until_said(self, text: str, at_most: float = 30.0) -> None:
        await self.until(lambda: text in self.log(), f"'{text}' in the log", at_most)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    async def stop(self, at_most: float = 10.0) -> int:
        """SIGTERM, and the exit code; the process must leave within `at_most` seconds."""
        assert self.process is not None
        self.kill(signal.SIGTERM)
        return await self.exited(at_most)

    async def exited(self, at_most: float = 10.0) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, at_most)

    def end(self) -> None:
        """Whatever happened, nothing stays."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        pid_file = self.state / "redis" / "valkey.pid"
        if pid_file.exists():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)

    def files(self) -> dict[str, str]:
        """Every file under a final name → its sha256."""
        found = {}
        for path in self.store.rglob("*"):
            relative = path.relative_to(self.store)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                found[str(relative)] = sha256(path.read_bytes())
        return found

    def leaks(self) -> list[str]:
        """Files of this machine in which a canary token stands."""
        found = []
        for path in [self.output, *self.state.rglob("*")]:
            if path.is_file() and any(canary.encode() in path.read_bytes() for canary in CANARIES.values()):
                found.append(str(path))
        return found


class Sampler(threading.Thread):
    """Looks every 50 ms: no final file is ever wrong, and ready means that all required files are right.

    `allowed`: relative path → the sha256s that may stand under that name. `ready_means_all`: each of them that may stand
    there must, while the gate is open (not for stories that remove files).
    """

    def __init__(self, machine: Machine, allowed: Mapping[str, set[str]], *, ready_means_all: bool = False) -> None:
        super().__init__(daemon=True)
        self._machine = machine
        self._allowed = allowed
        self._ready_means_all = ready_means_all
        self._over = threading.Event()
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.wrong: list[str] = []
        self.looks = 0

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.looks += 1
            open_gate = self._ready_means_all and self._gate_is_open()
            for name, right in self._allowed.items():
                self._look(name, right)
            if open_gate and (
                missing := [name for name in self._allowed if not (self._machine.store / name).is_file()]
            ):
                self.wrong.append(f"the gate is open without {missing}")

    def _gate_is_open(self) -> bool:
        try:
            said = json.loads((self._machine.state / "ready.json").read_bytes())
        except (OSError, ValueError):
            return False
        process = self._machine.process
        return process is not None and process.poll() is None and said["pid"] == process.pid

    def _look(self, name: str, right: set[str]) -> None:
        path = self._machine.store / name
        try:
            found = path.stat()
            key = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._seen.get(name) == key:
                return
            digest = sha256(path.read_bytes())
        except OSError:
            return
        self._seen[name] = key
        if digest not in right:
            self.wrong.append(f"{name} is {digest} ({found.st_size} bytes)")

    def finish(self) -> None:
        self._over.set()
        self.join(5)
        assert self.wrong == []


@asynccontextmanager
async def catalog(directory: Path, records: Mapping[str, Any]) -> AsyncIterator[str]:
    """A real catalog with these records; its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    async with serve(directory / "catalog.sqlite", records=records) as url:
        yield url


def peak_memory(pid: int) -> int:
    """Bytes that a process ever had resident (VmHWM, proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
