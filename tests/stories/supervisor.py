"""A real PM2 in a home of its own, and what can be seen of its apps from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

PATIENCE = 45
"""Seconds after which something that should have happened counts as not happening."""


class Pm2:
    """Everything that it starts carries PM2_HOME in its environment, by which it is found again."""

    def __init__(self, command: str, home: Path) -> None:
        self.command = command
        self.home = home
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.env = {**kept, "PM2_HOME": str(home / "pm2"), "HOME": str(home), "PM2_DISABLE_VERSION_CHECK": "true"}

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        result = subprocess.run(
            [self.command, *arguments], cwd=self.home, env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"pm2 {' '.join(arguments)}: {result.stdout}{result.stderr}"
        return result.stdout

    def start(self, *apps: dict[str, Any], env: dict[str, str] | None = None) -> None:
        file = self.home / "ecosystem.config.json"
        file.write_text(json.dumps({"apps": list(apps)}))
        self("start", str(file), env=env)

    def app(self, name: str) -> dict[str, Any]:
        """PM2's record of an app: `pid`, and in `pm2_env` `status` and `restart_time`."""
        listing = self("jlist")
        apps: list[dict[str, Any]] = json.loads(listing[listing.index("[") :])
        return next(app for app in apps if app["name"] == name)

    def status(self, name: str) -> str:
        return str(self.app(name)["pm2_env"]["status"])

    def restarts(self, name: str) -> int:
        return int(self.app(name)["pm2_env"]["restart_time"])

    @property
    def daemon(self) -> int:
        return int((self.home / "pm2" / "pm2.pid").read_text())

    @property
    def log(self) -> str:
        return (self.home / "pm2" / "pm2.log").read_text()

    def kill_daemon(self) -> None:
        daemon = psutil.Process(self.daemon)
        daemon.kill()
        daemon.wait(PATIENCE)

    def processes(self, *words: str) -> list[psutil.Process]:
        """All living processes of this home whose command line contains each of `words`."""
        return [process for process in psutil.process_iter() if self._ours(process, words)]

    def _ours(self, process: psutil.Process, words: tuple[str, ...]) -> bool:
        try:
            ours = process.environ().get("PM2_HOME") == self.env["PM2_HOME"]
            return ours and process.status() != psutil.STATUS_ZOMBIE and set(words) <= set(_words(process.cmdline()))
        except psutil.Error:
            return False

    def end(self) -> None:
        """The daemon, its apps, and whatever they left."""
        if (self.home / "pm2" / "pm2.pid").exists():
            subprocess.run([self.command, "kill"], env=self.env, capture_output=True, timeout=PATIENCE, check=False)
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
        eventually(lambda: not self.processes(), "all processes of this PM2 are gone")


def _words(command_line: list[str]) -> list[str]:
    return [Path(word).name for word in command_line]


def eventually(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """The first true answer of `look`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + patience
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still not after {patience} s: {what}"
        time.sleep(0.05)
    return answer
