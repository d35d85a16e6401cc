"""The programs that we are measured against: those of the system, else from the registries into a cache of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PACKAGES: Final = ("huggingface_hub", "aiohttp", "aiofiles")
"""What the Python peers need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program, and what its environment needs."""

    path: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """None for what could not be had. `python` has PACKAGES."""

    curl: Tool | None = None
    aria2c: Tool | None = None
    openssl: Tool | None = None
    b3sum: Tool | None = None
    python: Tool | None = None


def cache() -> Path:
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model_manager_bench"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def at_hand() -> Tools:
    """What is installed here."""
    return Tools(curl=_installed("curl"), openssl=_installed("openssl"))


def obtained() -> Tools:
    """What is installed here, and what can be had without root."""
    directory = cache()
    return Tools(
        curl=_installed("curl"),
        openssl=_installed("openssl"),
        aria2c=_installed("aria2c") or _unpacked(directory, "aria2", "aria2c"),
        b3sum=_installed("b3sum") or _unpacked(directory, "b3sum", "b3sum"),
        python=_environment(directory / "venv"),
    )


def _installed(name: str) -> Tool | None:
    path = shutil.which(name)
    return Tool(path=path) if path else None


def _unpacked(directory: Path, package: str, program: str) -> Tool | None:
    """A package of the distribution with what it lacks here, unpacked, not installed."""
    tree = directory / "packages" / package
    path = tree / "usr" / "bin" / program
    if not path.exists() and not _unpack(package, tree):
        return None
    libraries = sorted({str(file.parent) for file in tree.glob("usr/lib/**/*.so*")})
    tool = Tool(path=str(path), env={"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})
    works = _quiet(tool.path, "--version", env=tool.env)
    return tool if works is not None else None


def _unpack(package: str, tree: Path) -> bool:
    plan = _quiet("apt-get", "install", "--simulate", "--no-install-recommends", package, env={"LC_ALL": "C"})
    names = [line.split()[1] for line in (plan or "").splitlines() if line.startswith("Inst ")]
    if not names:
        return False
    with tempfile.TemporaryDirectory() as fresh:
        if _quiet("apt-get", "download", *names, cwd=fresh) is None:
            return False
        tree.mkdir(parents=True, exist_ok=True)
        return all(_quiet("dpkg-deb", "-x", str(file), str(tree)) is not None for file in Path(fresh).glob("*.deb"))


def _environment(directory: Path) -> Tool | None:
    """A virtual environment with the Python peers, kept from run to run."""
    python = str(directory / "bin" / "python")
    there = (python, "-c", f"import {', '.join(PACKAGES)}")
    if _quiet(*there) is None:
        _quiet(sys.executable, "-m", "venv", "--clear", str(directory))
        _quiet(python, "-m", "pip", "install", "--quiet", "--no-input", *PACKAGES)
    return Tool(path=python) if _quiet(*there) is not None else None


def _quiet(*command: str, env: Mapping[str, str] | None = None, cwd: str | None = None) -> str | None:
    """What it printed, or None when it failed or is not there; why, it says on our standard error."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **(env or {})}
        )
    except OSError as error:
        print(f"fetch: {command[0]}: {error.strerror}", file=sys.stderr)
        return None
    if done.returncode and "-c" not in command:
        print(f"fetch: {' '.join(command)[:120]}: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return done.stdout if done.returncode == 0 else None
