"""One small file behind an origin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from model_manager.sample.models import Recipe, SampleFile, write
from model_manager.sample.origin import Origin, served


@pytest.fixture
def file(tmp_path: Path) -> SampleFile:
    (file,) = write(tmp_path / "files", [Recipe(name="small.safetensors", bytes=300_000)])
    return file


@pytest.fixture
async def session(tmp_path: Path, file: SampleFile) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        served(Origin([file]).application(), remembered=tmp_path / "port") as url,
        aiohttp.ClientSession(url, auto_decompress=False) as session,
    ):
        yield session
