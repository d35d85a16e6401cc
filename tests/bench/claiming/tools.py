"""The queues that we are measured against, from their registries into a cache of the benchmark's own; nothing of ours needs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.fetching.tools import cache

NODE: Final = ("bullmq@6.7.0", "ioredis@5.11.1")
PYTHON: Final = ("arq==0.25.0", "taskiq-redis==1.2.4", "hiredis>=3.2")

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """None for what could not be had. `node` is a directory with NODE, `python` an interpreter with PYTHON."""

    node: Path | None = None
    python: str | None = None


def obtained() -> Peers:
    """Installs what is missing; says on standard error what it could not."""
    directory = cache()
    return Peers(node=_packages(directory / "node"), python=_environment(directory / "queues-venv"))


def _packages(directory: Path) -> Path | None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        _say("BullMQ is left out: node and npm are not installed")
        return None
    wanted = directory / "wanted.txt"
    if not wanted.exists() or wanted.read_text() != " ".join(NODE):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        if not _quiet("npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory), *NODE):
            _say("BullMQ is left out: npm could not install it")
            return None
        wanted.write_text(" ".join(NODE))
    return directory


def _environment(directory: Path) -> str | None:
    python = str(directory / "bin" / "python")
    there = (python, "-c", "import arq, taskiq_redis")
    if not _quiet(*there):
        _quiet(sys.executable, "-m", "venv", "--clear", str(directory))
        _quiet(python, "-m", "pip", "install", "--quiet", "--no-input", *PYTHON)
    if _quiet(*there):
        return python
    _say("arq and taskiq are left out: pip could not install them")
    return None


def _quiet(*command: str, env: Mapping[str, str] | None = None) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **(env or {})})
    except OSError:
        return False
    return done.returncode == 0


def _say(text: str) -> None:
    print(f"routing: {text}", file=sys.stderr, flush=True)
