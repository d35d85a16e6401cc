"""What every test may use: the `needs(tool)` and `slow` markers.

A tool that is missing skips the test at home, with the reason, and fails it where CI=true: there it must run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

QUICK = 20
"""Seconds that looking for a tool may take."""


def tools_directory() -> Path:
    """Where .ci/run puts what is no system package."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model_manager_ci"
    return Path(os.environ.get("MODEL_MANAGER_TEST_TOOLS") or default)


def otel_directory() -> Path:
    """The packages of the extra `otel`, apart from all others: where they are installed, redis-py reads them at every start."""
    return tools_directory() / "otel"


def find_pm2() -> str | None:
    """MODEL_MANAGER_TEST_PM2, the tools directory, then PATH. PM2 is a script of node."""
    if not shutil.which("node"):
        return None
    named = os.environ.get("MODEL_MANAGER_TEST_PM2")
    installed = str(tools_directory() / "node_modules" / ".bin" / "pm2")
    return next(
        (found for candidate in (named, installed, "pm2") if candidate and (found := shutil.which(candidate))), None
    )


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=QUICK, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _on_path(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name, path=_system_path()) is not None


def _system_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def _mountable(kind: str) -> bool:
    """Whether such a file system can be made and mounted. The kernel loads what it does not list yet."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and _on_path(f"mkfs.{kind}")()


TOOLS: dict[str, tuple[Callable[[], bool], str]] = {
    "promtool": (_on_path("promtool"), "apt-get install prometheus"),
    "otel": (
        lambda: any((Path(place) / "opentelemetry" / "sdk").is_dir() for place in (otel_directory(), *sys.path)),
        "pip install --target ~/.cache/model_manager_ci/otel opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
    ),
    "strace": (
        lambda: _works("strace", "-f", "-e", "trace=none", "true"),
        "apt-get install strace; ptrace must be allowed",
    ),
    "pm2": (lambda: find_pm2() is not None, "npm install pm2, and name its bin/pm2 in MODEL_MANAGER_TEST_PM2"),
    "node": (_on_path("node"), "apt-get install nodejs"),
    "redis-server": (_on_path("redis-server"), "apt-get install redis-server"),
    "root": (lambda: os.geteuid() == 0, "run as root"),
    "setpriv": (
        lambda: _works("unshare", "-m", "setpriv", "--reuid=65534", "--clear-groups", "true"),
        "run as root, with util-linux",
    ),
    "tmpfs": (
        lambda: _works("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"),
        "run as root, with mount allowed",
    ),
    "loop": (lambda: os.geteuid() == 0 and Path("/dev/loop-control").exists(), "run as root, with loop devices"),
    "netns": (lambda: _works("unshare", "-n", "ip", "link", "set", "lo", "up"), "run as root, with iproute2"),
    "iptables": (lambda: _works("unshare", "-n", "iptables", "-w", "-L", "-n"), "run as root, with iptables"),
    "mkfs.xfs": (lambda: _mountable("xfs"), "run as root, with loop devices; apt-get install xfsprogs"),
    "mkfs.btrfs": (lambda: _mountable("btrfs"), "run as root, with loop devices; apt-get install btrfs-progs"),
    "fuse": (lambda: os.geteuid() == 0 and Path("/dev/fuse").exists(), "run as root, with /dev/fuse"),
    "chromium": (_on_path("chromium"), "apt-get install chromium"),
    "faketime": (_on_path("faketime"), "apt-get install faketime"),
}
"""Name → whether it works here, and how to get it."""


@cache
def has(tool: str) -> bool:
    return TOOLS[tool][0]()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long tests (200 kills, power cuts)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]
    for item in items:
        for marker in item.iter_markers("needs"):
            if unknown := [tool for tool in marker.args if tool not in TOOLS]:
                raise pytest.UsageError(f"{item.nodeid} needs {unknown}; tests/conftest.py knows {sorted(TOOLS)}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    wanted = [tool for marker in item.iter_markers("needs") for tool in marker.args]
    missing = [f"{tool} ({TOOLS[tool][1]})" for tool in wanted if not has(tool)]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}"
    if in_ci():
        pytest.fail(f"{reason}: it must run in CI", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def pm2_command() -> str:
    """The path of a real PM2; for tests marked `needs("pm2")`."""
    found = find_pm2()
    assert found is not None
    return found
