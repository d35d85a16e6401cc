"""How far an agent is that was asked to look: the next full scan, and then until nothing is left to read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from model_manager.cli.model.doing import Agent

PAUSE: Final = 0.2
"""Seconds between two questions."""

IDLE: Final = 3.0
"""Seconds without a file being read after which an agent is taken to be through: what is left cannot be read."""

Status = dict[str, Any]


def scanned(agent: Agent, ask: Callable[[], object]) -> Status:
    """The agent's status after the first full scan that began since `ask` was called."""
    before = agent.status()["scan"]["started"]
    ask()
    while True:
        status = agent.status()
        scan = status["scan"]
        if scan["finished"] and scan["started"] != before:
            return status
        time.sleep(PAUSE)


def reading(agent: Agent) -> Iterator[Status]:
    """The agent's status again and again, until it reads nothing any more."""
    quiet = time.monotonic()
    while True:
        status = agent.status()
        yield status
        inventory, now = status["inventory"], time.monotonic()
        quiet = now if inventory["hashing"] else quiet
        if not inventory["unhashed"] or now - quiet >= IDLE:
            return
        time.sleep(PAUSE)
