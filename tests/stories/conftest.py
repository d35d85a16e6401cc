from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

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
async def origin(request: pytest.FixtureRequest, home: Path) -> AsyncIterator[FaultyOrigin]:
    """Plain, or by an indirect parameter "TLS" with a certificate that the machine of `bringing` trusts."""
    async with faulty_origin(certified(home) if getattr(request, "param", "plain") == "TLS" else None) as served:
        yield served


def certified(home: Path) -> ssl.SSLContext:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(home / "origin.pem"))
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


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
    trusting = {"MODEL_MANAGER_CA_FILE": str(home / "origin.pem")} if origin.url.startswith("https") else {}
    async with AsyncExitStack() as stack:
        yield Bringing(home, origin, machine_of, stack, trusting)
