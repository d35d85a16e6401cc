"""Processes that a mapper started, and files that are mapped though they are small."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from model_manager.library.contents import hashing, mapper

Children = list[subprocess.Popen[bytes]]
MIB = 1024 * 1024


def watched(monkeypatch: pytest.MonkeyPatch) -> Children:
    """Those that are started from now on."""
    started: Children = []
    real = subprocess.Popen

    def noted(*command: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(child := real(*command, **options))
        return child

    monkeypatch.setattr(mapper.subprocess, "Popen", noted)
    return started


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file on any disk is worth it, in parts of a MiB."""
    monkeypatch.setattr(mapper, "WINDOW", MIB)
    monkeypatch.setattr(hashing, "worth", lambda fd, size: True)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
