"""The client of a catalog API, both families of it: one record or one typed failure for every name that is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeGuard, TypeVar
from uuid import UUID

import aiohttp
from pydantic import SecretStr

from model_manager.errors import (
    BadRecord,
    CatalogUnavailable,
    CatalogUnreachable,
    ModelManagerError,
    NotAuthorized,
    NotFound,
)
from model_manager.facts.model import CollectionRecord, Model, WorkflowRecord
from model_manager.facts.record import collection_record, model_record, tells_optional, workflow_record
from model_manager.sources.asking import PER_MINUTE, Asking, quoted
from model_manager.sources.catalog_feed import ROUTE, SILENCE, Heard, heard
from model_manager.sources.transport.web import tls

BATCH: Final = 500
"""Names in one request: some 250 kB of records."""

AT_ONCE: Final = 4
"""Single requests in flight together."""

_WORKFLOW: Final = ("/workflows/name/{}", "/component-definitions/name/{}")
_WORKFLOWS: Final = ("/workflows/dependencies", "/component-definitions/dependencies")
_COLLECTION: Final = ("/collections/{}/public", "/collections/{}")
_MODEL: Final = ("/models/name/{}", "/models/{}", "/api/models/{}")
_MODELS: Final = ("/models/batch", "/api/models/batch")

T = TypeVar("T")
Read = Callable[[object, str], T]


class Catalog:
    """Routes that the server turned out not to have are not asked again."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._absent: set[str] = set()
        self._vague = False
        self._plain = False

    @property
    def host(self) -> str:
        return self._asking.host

    async def workflows(self, names: Iterable[str]) -> dict[str, WorkflowRecord | ModelManagerError]:
        """By name, or by id where that is what was given.

        The batch answer of some servers cannot say which models are optional. There each workflow is asked for by itself,
        and the batch answer (everything required) stands in only for those that cannot be had.
        """
        wanted = list(dict.fromkeys(names))
        rows = {} if self._vague else await self._workflow_rows(wanted)
        self._vague = self._vague or any(not told for _, told in rows.values())
        found: dict[str, WorkflowRecord | ModelManagerError] = {name: row for name, (row, told) in rows.items() if told}
        found |= await _each([name for name in wanted if name not in found], self._workflow)
        failed = [name for name in wanted if isinstance(found[name], ModelManagerError)]
        if failed and not rows and self._vague:
            rows = await self._workflow_rows(failed)
        return found | {name: rows[name][0] for name in failed if name in rows}

    async def collections(self, ids: Iterable[str]) -> dict[str, CollectionRecord | ModelManagerError]:
        """By id."""
        return await _each(list(dict.fromkeys(ids)), self._collection)

    async def listen(self, cursor: str) -> AsyncIterator[Heard]:
        """What changes from now on, or with a cursor since then; ends when the server does.

        Raises NotFound when this catalog has no feed, CatalogUnreachable, CatalogUnavailable, NotAuthorized.
        """
        sent = {"Last-Event-ID": cursor} if cursor else {}
        async with self._asking.stream(ROUTE, sent, SILENCE) as pieces:
            async for each in heard(pieces, self.host):
                yield each

    async def models(self, names: Iterable[str]) -> dict[str, Model | ModelManagerError]:
        """By name or id, in batches as far as the server has them. What these need may be among the answers too."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, Model | ModelManagerError] = {}
        for route in _MODELS:
            rest = _unknown(wanted, found)
            for at in range(0, len(rest), BATCH):
                found |= await self._model_rows(route, rest[at : at + BATCH])
        found = _asked_for(wanted, found)
        alone = await _each(_unknown(wanted, found), self._model)
        return alone | {name: value for name, value in found.items() if not _better(alone.get(name), value)}

    async def _workflow(self, name: str) -> WorkflowRecord:
        return await self._single(name, _WORKFLOW, _own_workflow)

    async def _collection(self, name: str) -> CollectionRecord:
        return await self._single(name, _COLLECTION, collection_record)

    async def _model(self, name: str) -> Model:
        return await self._single(name, _MODEL, _own_model)

    async def _single(self, name: str, routes: Sequence[str], read: Read[T]) -> T:
        """From the first route that has it. Raises what the first of the others said, else NotFound."""
        refusals: list[ModelManagerError] = []
        for route in routes:
            try:
                content = await self._asking.ask("GET", route.format(quoted(name)))
                if content is not None:
                    return read(content, name)
            except CatalogUnreachable:
                raise
            except (BadRecord, NotAuthorized, CatalogUnavailable) as error:
                refusals.append(error)
        raise refusals[0] if refusals else NotFound(where=f"the catalog at {self.host}", name=name)

    async def _workflow_rows(self, names: list[str]) -> dict[str, tuple[WorkflowRecord, bool]]:
        """What the batch route says of them, each with whether it tells required from optional."""
        found: dict[str, tuple[WorkflowRecord, bool]] = {}
        for route in _WORKFLOWS:
            rest = [name for name in names if name not in found]
            for at in range(0, len(rest), BATCH):
                chunk = rest[at : at + BATCH]
                ids = [name for name in chunk if _is_uuid(name)]
                body = {"workflow_names": chunk} | ({"workflow_ids": ids} if ids else {})
                for row in await self._rows(route, body):
                    found |= _read_workflow(row, set(chunk))
        return found

    async def _model_rows(self, route: str, names: list[str]) -> dict[str, Model | ModelManagerError]:
        """What a batch route says of them; where it follows what models need, that is among it."""
        found: dict[str, Model | ModelManagerError] = {}
        asked = set(names)
        for row in await self._followed_rows(route, names):
            model: Model | BadRecord | None = None
            for name in _keys(row, "id", "name", "filename"):
                if not isinstance(found.get(name), Model):
                    model = model if _is_called(model, name) else _read_model(row, name)
                    if name in asked or isinstance(model, Model):
                        found[name] = model
        return found

    async def _followed_rows(self, route: str, names: list[str]) -> list[Any]:
        """Asked to follow what models need; a server that refuses only that is asked plainly from then on."""
        plainly: dict[str, Any] = {"model_ids": names}
        if self._plain:
            return await self._rows(route, plainly)
        try:
            return await self._insisted(route, plainly | {"dependencies": True})
        except (CatalogUnreachable, NotAuthorized):
            return []
        except CatalogUnavailable:
            rows = await self._rows(route, plainly)
        self._plain = bool(rows)
        return rows

    async def _rows(self, route: str, body: dict[str, Any]) -> list[Any]:
        """The rows of a batch route; none when it is absent or useless, for then each name is asked for by itself."""
        try:
            return await self._insisted(route, body)
        except (CatalogUnavailable, NotAuthorized):
            return []

    async def _insisted(self, route: str, body: dict[str, Any]) -> list[Any]:
        """The same; a failure to answer is raised."""
        if route in self._absent:
            return []
        content = await self._asking.ask("POST", route, body)
        if content is None:
            self._absent.add(route)
        rows = content.get("models") if isinstance(content, dict) else content
        return rows if isinstance(rows, list) else []


@asynccontextmanager
async def catalog_at(
    base_url: str,
    key: SecretStr | None = None,
    *,
    ca_file: str | None = None,
    proxy: str | None = None,
    per_minute: int = PER_MINUTE,
    traces: list[aiohttp.TraceConfig] | None = None,
) -> AsyncIterator[Catalog]:
    """A Catalog for the length of a block. Its address is the operator's own choice and may be private. `traces` hear of each
    request."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls(ca_file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
        headers={"User-Agent": "model_manager", "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=60, sock_connect=10),
        trace_configs=traces,
    ) as session:
        yield Catalog(Asking(session, base_url, key, per_minute=per_minute))


async def _each(names: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T | ModelManagerError]:
    """One answer or one failure per name. After the first sign that nobody is there, the rest is not tried."""
    found: dict[str, T | ModelManagerError] = {}
    away: list[ModelManagerError] = []
    door = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with door:
            try:
                found[name] = away[0] if away else await ask(name)
            except CatalogUnreachable as error:
                away.append(error)
                found[name] = error
            except ModelManagerError as error:
                found[name] = error

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    return found


def _unknown(names: list[str], found: dict[str, Model | ModelManagerError]) -> list[str]:
    return [name for name in names if not isinstance(found.get(name), Model)]


def _asked_for(names: list[str], found: dict[str, Model | ModelManagerError]) -> dict[str, Model | ModelManagerError]:
    """What was asked for, and what that needs, by the names under which it needs it."""
    needed = {name for model in found.values() if isinstance(model, Model) for name in model.depends}
    kept = needed.union(names)
    return {name: found[name] for name in found if name in kept}


def _better(ours: object, theirs: object) -> bool:
    """A record beats a failure; that there is nothing is the weakest thing to say of what a batch knows badly."""
    return isinstance(ours, Model) or (
        ours is not None and not isinstance(theirs, Model) and not isinstance(ours, NotFound)
    )


def _own_workflow(content: object, name: str) -> WorkflowRecord:
    record = workflow_record(content, name)
    _insist_own(name, record.name, record.id)
    return record


def _is_called(model: object, name: str) -> TypeGuard[Model]:
    """Whether it was read already, and is what is asked for by that name."""
    return isinstance(model, Model) and name in (model.name, model.id)


def _own_model(content: object, name: str) -> Model:
    model = model_record(content, name)
    _insist_own(name, model.name, model.id)
    return model


def _insist_own(asked: str, name: str, identity: str) -> None:
    if asked not in (name, identity):
        raise BadRecord(name=asked, why=f"the catalog answers with '{name}'")


def _read_workflow(row: object, asked: set[str]) -> dict[str, tuple[WorkflowRecord, bool]]:
    """A row that cannot be read is as if it were not there."""
    names = _keys(row, "workflow_name", "workflow_id", "component_definition_name", "component_definition_id", "name")
    try:
        return {name: (_own_workflow(row, name), tells_optional(row)) for name in names & asked}
    except BadRecord:
        return {}


def _read_model(row: object, name: str) -> Model | BadRecord:
    try:
        return _own_model(row, name)
    except BadRecord as error:
        return error


def _keys(row: object, *fields: str) -> set[str]:
    values = (row.get(field) for field in fields) if isinstance(row, dict) else ()
    return {str(value) for value in values if isinstance(value, str) or type(value) is int}


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
