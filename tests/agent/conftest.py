from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from loguru import logger

from tests.agent.stage import Stage, stage


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as made:
        yield made


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Lines of the log: level, message and fields."""
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), format="{level} {message} {extra}", level="TRACE")
    yield lines
    logger.remove(handler)
