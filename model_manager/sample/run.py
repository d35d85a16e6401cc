"""The sample for a first run without any configuration: files, an origin that serves them, a catalog that tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from model_manager.sample.catalog import recipes, records
from model_manager.sample.models import SampleFile, write
from model_manager.sample.origin import Origin, served


class ServeCatalog(Protocol):
    """`model_manager.catalog.run.serve`, handed in: programs do not import each other."""

    def __call__(self, database: Path, *, records: Mapping[str, Any]) -> AbstractAsyncContextManager[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`allow_hosts`: "host:port" of the origin, which lies on loopback where downloads are otherwise refused."""

    catalog_url: str
    origin_url: str
    allow_hosts: frozenset[str]
    files: tuple[SampleFile, ...]


@asynccontextmanager
async def sample(directory: Path, serve_catalog: ServeCatalog, *, rate: int | None = None) -> AsyncIterator[Sample]:
    """The running sample for the length of the block; everything that it keeps is in `directory`.

    `rate`: bytes/s of each download, None for as fast as it goes. Raises BadSetting when nothing can be listened on.
    """
    files = await asyncio.to_thread(write, directory / "files", recipes())
    origin = Origin(files, rate=rate)
    async with served(origin.application(), remembered=directory / "origin.port") as origin_url:
        database = directory / "catalog.sqlite"
        async with serve_catalog(database, records=records(origin_url, files)) as catalog_url:
            yield Sample(
                catalog_url=catalog_url,
                origin_url=origin_url,
                allow_hosts=frozenset({origin_url.removeprefix("http://")}),
                files=files,
            )
