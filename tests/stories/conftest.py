from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.stories.bringing import Bringing
from tests.stories.machine import Machine
from tests.stories.origin import FaultyOrigin, faulty_origin


@pytest.fixture
def home() -> Iterator[Path]:
    """A short directory: a socket's path has 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="mm-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def origin() -> AsyncIterator[FaultyOrigin]:
    async with faulty_origin() as served:
        yield served


@pytest.fixture
def machine_of(home: Path) -> Iterator[Callable[..., Machine]]:
    """Makes machines that end with the test."""
    made: list[Machine] = []

    def make(catalog_url: str, name: str = "m", **environ: str) -> Machine:
        made.append(Machine(home / name, catalog_url, environ))
        return made[-1]

    yield make
    for machine in made:
        machine.end()


@pytest.fixture
async def bringing(home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]) -> AsyncIterator[Bringing]:
    """One machine, not started yet, that will bring models from the misbehaving origin."""
    async with AsyncExitStack() as stack:
        yield Bringing(home, origin, machine_of, stack)
