"""The read routes of the EmProps Open API, in both its families: `{data, error}` envelopes, and bare under /api."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aiohttp import web

from model_manager.catalog import shapes
from model_manager.catalog.answering import (
    MAX_BODY,
    Answer,
    answering,
    asked_names,
    asked_object,
    bare,
    enveloped,
)
from model_manager.catalog.records import Asked
from model_manager.catalog.store import Store
from model_manager.errors import printable

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 10_000
"""Items in one page of a list; the header X-Total-Count says how many there are."""


class Routes:
    """Handlers over a store. `tokens`: names of the variables that are set where the catalog runs."""

    def __init__(self, store: Store, tokens: Collection[str] = ()) -> None:
        self._store = store
        self._tokens = tokens

    def application(self) -> web.Application:
        application = web.Application(middlewares=[answering], client_max_size=MAX_BODY)
        application.router.add_routes(self._routes())
        return application

    def _routes(self) -> list[web.RouteDef]:
        workflows = [route for prefix in ("/workflows", "/component-definitions") for route in self._workflows(prefix)]
        return [
            web.get("/health", self.health),
            *workflows,
            web.post("/collections/dependencies", self.collection_dependencies),
            web.get("/collections/{id}/public", self.public_collection),
            web.get("/collections/{id}", self.collection),
            web.get("/models", self.models),
            web.get("/models/validate-auth", self.validate_auth),
            web.post("/models/validate-auth", self.validate_auth),
            web.post("/models/batch", self.models_batch),
            web.get("/models/name/{name:.+}", self.model_by_name),
            web.get("/models/{id}", self.model_by_id),
            web.post("/api/models/batch", self.api_models_batch),
            web.get("/api/models/{id:.+}", self.api_model),
        ]

    def _workflows(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(prefix, self.workflows),
            web.post(f"{prefix}/dependencies", self.workflow_dependencies),
            web.get(f"{prefix}/name/{{name:.+}}", self.workflow_by_name),
            web.get(f"{prefix}/{{id}}", self.workflow_by_id),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """How much there is: `state` is `empty` until somebody loads records."""
        counts = await self._store.counts()
        state = "empty" if counts.empty else "loaded"
        data = {
            "state": state,
            "models": counts.models,
            "workflows": counts.workflows,
            "collections": counts.collections,
        }
        return enveloped(request, data)

    async def workflows(self, request: web.Request) -> web.Response:
        page = await self._store.workflows_found(_asked(request))
        return enveloped(request, [shapes.workflow(item) for item in page.items], _total(page.total))

    async def workflow_by_name(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = await self._store.workflows(names=[name])
        if not found:
            raise _missing("workflow", name)
        return enveloped(request, shapes.workflow(found[0]))

    async def workflow_by_id(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = await self._store.workflows(ids=[identity])
        if not found:
            raise _missing("workflow", identity)
        return enveloped(request, shapes.workflow(found[0]))

    async def workflow_dependencies(self, request: web.Request) -> web.Response:
        """A row for each workflow that the catalog has; an unknown one has none."""
        body = await asked_object(request)
        names, ids = asked_names(body, "workflow_names"), asked_names(body, "workflow_ids")
        if body.get("workflow_names") is None and body.get("workflow_ids") is None:
            raise Answer(400, "Say which: workflow_names or workflow_ids, an array of strings.")
        found = await self._store.workflows(names=names, ids=ids)
        return enveloped(request, [shapes.workflow_dependencies(item) for item in found])

    async def collection(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = await self._store.collections([identity])
        if not found:
            raise _missing("collection", identity)
        return enveloped(request, shapes.collection(found[0]))

    async def public_collection(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = await self._store.collections([identity])
        if not found:
            raise _missing("collection", identity)
        return enveloped(request, shapes.public_collection(found[0]))

    async def collection_dependencies(self, request: web.Request) -> web.Response:
        """A row for each collection that the catalog has; an unknown one has none."""
        body = await asked_object(request)
        ids = _insisted(asked_names(body, "collection_ids"), body, "collection_ids")
        found = await self._store.collections(ids)
        return enveloped(request, [shapes.collection_dependencies(item) for item in found])

    async def models(self, request: web.Request) -> web.Response:
        page = await self._store.models_found(_asked(request))
        return enveloped(request, [shapes.model(item) for item in page.items], _total(page.total))

    async def validate_auth(self, request: web.Request) -> web.Response:
        return enveloped(request, shapes.authorization(await self._store.gated(), self._tokens))

    async def model_by_name(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        page = await self._store.models_found(Asked(name=name, limit=1))
        if not page.items:
            raise _missing("model", name)
        return enveloped(request, shapes.model(page.items[0]))

    async def model_by_id(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = await self._store.models([identity])
        if identity not in found:
            raise _missing("model", identity)
        return enveloped(request, shapes.model(found[identity]))

    async def models_batch(self, request: web.Request) -> web.Response:
        references = await self._references(request)
        found = await self._store.models(references)
        models = [shapes.model(item) for item in dict.fromkeys(found.values())]
        return enveloped(request, {"models": models, "not_found": [name for name in references if name not in found]})

    async def api_model(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = await self._store.models([identity])
        if identity not in found:
            raise Answer(404, "Model not found", fields={"model_id": identity})
        return bare(request, shapes.api_model(found[identity]))

    async def api_models_batch(self, request: web.Request) -> web.Response:
        references = await self._references(request)
        found = await self._store.models(references)
        models = [shapes.api_model(item) for item in dict.fromkeys(found.values())]
        return bare(request, {"models": models, "not_found": [name for name in references if name not in found]})

    async def _references(self, request: web.Request) -> tuple[str, ...]:
        body = await asked_object(request)
        return _insisted(asked_names(body, "model_ids"), body, "model_ids")


def _insisted(names: tuple[str, ...], body: object, key: str) -> tuple[str, ...]:
    if not isinstance(body, dict) or body.get(key) is None:
        raise Answer(400, f"{key} must be an array of strings.")
    return names


def _missing(kind: str, name: str) -> Answer:
    return Answer(404, f"There is no {kind} '{printable(name)}'. Check the name, or add it to the catalog.")


def _total(total: int) -> dict[str, str]:
    return {"X-Total-Count": str(total)}


def _asked(request: web.Request) -> Asked:
    return Asked(
        name=request.query.get("name", ""),
        search=request.query.get("search", ""),
        model_type=request.query.get("model_type", ""),
        auth_only=_flag(request, "auth_only"),
        limit=_number(request, "limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT),
        offset=_number(request, "offset", 0, least=0, most=2**31),
    )


def _flag(request: web.Request, key: str) -> bool:
    value = request.query.get(key, "").lower()
    if value not in ("", "true", "false", "1", "0"):
        raise Answer(400, f"{key} must be true or false.")
    return value in ("true", "1")


def _number(request: web.Request, key: str, default: int, *, least: int, most: int) -> int:
    value = request.query.get(key, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and least <= int(value) <= most):
        raise Answer(400, f"{key} must be a number from {least} to {most}.")
    return int(value)
