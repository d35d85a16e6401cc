"""The nearest peer: comfygit's scanner, from PyPI, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.fetching.tools import cache

PACKAGE: Final = "comfygit-core"

DRIVER: Final = """
import json, sys, time
from pathlib import Path
from comfygit_core.analyzers.model_scanner import ModelScanner
from comfygit_core.repositories.model_repository import ModelRepository
models, database = Path(sys.argv[1]), Path(sys.argv[2])
scanner = ModelScanner(ModelRepository(database, current_directory=models))
seconds = []
for _ in range(2):
    started = time.perf_counter()
    scanner.scan_directory(models, quiet=True)
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds))
"""


def scanned(models: Path, database: Path) -> tuple[float, float] | None:
    """Seconds of its first scan and of a second one, or None where it cannot be had."""
    python = _environment(cache() / "library-venv")
    if python is None:
        return None
    done = subprocess.run([python, "-c", DRIVER, models, database], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"library: comfygit: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    first, again = json.loads(done.stdout.splitlines()[-1])
    return first, again


def _environment(directory: Path) -> Path | None:
    python = directory / "bin" / "python"
    there = [python, "-c", "import comfygit_core"]
    if not python.exists() or subprocess.run(there, capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-input", PACKAGE], capture_output=True, check=False)
    return python if subprocess.run(there, capture_output=True, check=False).returncode == 0 else None
