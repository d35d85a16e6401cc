"""What readers ask, by the names of the routes: models, workflows, collections, tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, assert_never

from aiohttp import web

from model_manager.catalog import docs, shapes
from model_manager.catalog.answering import BareAnswer, bare, doc, enveloped
from model_manager.catalog.asked import flag, names, page
from model_manager.catalog.following import Look, follow
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, Kind, Page, Record, Stored
from model_manager.catalog.storage.looking import Looker
from model_manager.catalog.storage.machines import Machines
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadSetting, printable
from model_manager.facts import wire
from model_manager.facts.identity import TOKEN_NAMES, MachineId
from model_manager.serving.asking import Asked as Values
from model_manager.serving.asking import asked_object
from model_manager.serving.problems import Answer, bad_body

SERVER: Final = "this server"


class Questions:
    """`tokens`: names of the variables that are set where the catalog runs."""

    def __init__(self, store: Store, tokens: Collection[str]) -> None:
        self._store = store
        self._tokens = frozenset(tokens)
        self._machines = Machines(store.database, store.now)

    async def models(self, request: web.Request, values: Values) -> web.StreamResponse:
        found = await self._store.found("model", page(values))
        return enveloped(request, [doc(each) for each in found.items], headers=_total(found))

    async def model(self, request: web.Request, values: Values) -> web.StreamResponse:
        return enveloped(request, doc(await self._one("model", values["id"])))

    async def model_by_name(self, request: web.Request, values: Values) -> web.StreamResponse:
        found = await self._store.by_name("model", [values["name"]])
        if not found:
            raise absent("model", values["name"])
        return enveloped(request, doc(found[values["name"]]))

    async def models_batch(self, request: web.Request, _: Values) -> web.StreamResponse:
        body = await asked_object(request)
        if flag(body, "dependencies"):
            wanted, found = await self._followed(names(body, "model_ids"))
            models = ",".join(each.doc for each in _once(found.values()))
            missing = [name for name in wanted if name not in found]
        else:
            models, missing = await self._store.texts("model", names(body, "model_ids"))
        return enveloped(request, {"models": wire.raw(f"[{models}]"), "not_found": missing})

    async def api_model(self, request: web.Request, values: Values) -> web.StreamResponse:
        found = await self._store.by_reference("model", [values["id"]])
        if not found:
            raise BareAnswer(404, "absent", "Model not found", values["id"])
        return bare(request, shapes.api_model(wire.loads(found[values["id"]].doc)))

    async def api_batch(self, request: web.Request, _: Values) -> web.StreamResponse:
        body = await asked_object(request)
        wanted = names(body, "model_ids")
        if flag(body, "dependencies"):
            wanted, found = await self._followed(wanted)
        else:
            found = await self._store.by_reference("model", wanted)
        models = [shapes.api_model(wire.loads(each.doc)) for each in _once(found.values())]
        return bare(request, {"models": models, "not_found": [name for name in wanted if name not in found]})

    async def versions(self, request: web.Request, values: Values) -> web.StreamResponse:
        current = _model(await self._owner(values["id"])).version
        found = await self._store.versions(values["id"])
        return enveloped(
            request,
            [{"version": label, "current": label == current, "model": wire.raw(text)} for label, text in found],
        )

    async def version(self, request: web.Request, values: Values) -> web.StreamResponse:
        text = await self._store.version(values["id"], values["version"])
        if text is None:
            raise absent("version", values["version"])
        return enveloped(request, wire.raw(text))

    async def dependencies(self, request: web.Request, values: Values) -> web.StreamResponse:
        async with self._store.looking() as reader:
            found = await reader.by_reference("model", [values["id"]])
            if not found:
                raise absent("model", values["id"])
            followed = await follow([found[values["id"]]], _looking(reader))
        answer = shapes.Dependencies(
            dependencies=[
                shapes.Followed(
                    id=each.stored.id if each.stored else None,
                    name=each.stored.name if each.stored else each.reference,
                    depth=each.depth,
                    needed_by=each.needed_by,
                )
                for each in followed.met
            ],
            missing=[each.reference for each in followed.met if each.stored is None],
            cycles=[list(each) for each in followed.cycles],
            complete=followed.complete,
        )
        return enveloped(request, answer)

    async def auth(self, request: web.Request, values: Values) -> web.StreamResponse:
        """For this server, or for a machine that told its tokens."""
        machine = values["machine_id"]
        if machine is None:
            return await self._authorization(request, self._tokens, SERVER)
        told = await self._machines.told(machine)
        if told is None:
            detail = f"The machine '{machine}' has not told its tokens yet. It does so by POST to this address."
            raise Answer(404, "absent", detail)
        return await self._authorization(request, told, machine)

    async def auth_for(self, request: web.Request, _: Values) -> web.StreamResponse:
        body = await asked_object(request) if request.can_read_body else {}
        if not body:
            return await self._authorization(request, self._tokens, SERVER)
        machine, tokens = _machine(body)
        await self._machines.tell(machine, tokens)
        return await self._authorization(request, tokens, machine)

    async def workflows(self, request: web.Request, values: Values) -> web.StreamResponse:
        async with self._store.reading() as reader:
            found = await reader.found("workflow", page(values))
            answers = await _workflows(reader, found.items)
        return enveloped(request, answers, headers=_total(found))

    async def workflow(self, request: web.Request, values: Values) -> web.StreamResponse:
        return enveloped(request, await self._read("workflow", values["id"]))

    async def workflow_by_name(self, request: web.Request, values: Values) -> web.StreamResponse:
        async with self._store.looking() as reader:
            found = await reader.by_name("workflow", [values["name"]])
            if not found:
                raise absent("workflow", values["name"])
            (answer,) = await _workflows(reader, found.values())
        return enveloped(request, answer)

    async def shown(self, record: Record) -> Any:
        """A record as GET answers it."""
        async with self._store.looking() as reader:
            return await _shown(reader, record)

    async def _read(self, kind: Kind, identity: str) -> Any:
        async with self._store.looking() as reader:
            found = await reader.by_id(kind, [identity])
            if not found:
                raise absent(kind, identity)
            return await _shown(reader, docs.record_of(kind, wire.loads(found[identity].doc)))

    async def workflow_models(self, request: web.Request, values: Values) -> web.StreamResponse:
        async with self._store.looking() as reader:
            found = await reader.by_id("workflow", [values["id"]])
            if not found:
                raise absent("workflow", values["id"])
            wanted = [need.model for need in _workflow(found[values["id"]]).needs]
            models = await reader.by_reference("model", wanted)
        missing = [name for name in wanted if name not in models]
        return enveloped(request, {"models": [doc(each) for each in _once(models.values())], "not_found": missing})

    async def workflow_dependencies(self, request: web.Request, _: Values) -> web.StreamResponse:
        body = await asked_object(request)
        by_name, by_id = names(body, "workflow_names", required=False), names(body, "workflow_ids", required=False)
        if body.get("workflow_names") is None and body.get("workflow_ids") is None:
            raise bad_body("Say which: workflow_names or workflow_ids, an array of strings.")
        async with self._store.looking() as reader:
            named = await reader.by_name("workflow", by_name) if by_name else {}
            numbered = await reader.by_id("workflow", by_id) if by_id else {}
            records = [_workflow(each) for each in _once([*named.values(), *numbered.values()])]
            models = await reader.named("model", _needed(records))
        rows = [shapes.workflow_dependencies(each, models) for each in sorted(records, key=lambda each: each.name)]
        return enveloped(request, rows)

    async def collections(self, request: web.Request, values: Values) -> web.StreamResponse:
        async with self._store.reading() as reader:
            found = await reader.found("collection", page(values))
            records = [_collection(each) for each in found.items]
            workflows = await reader.named("workflow", {name for each in records for name in each.workflows})
        answers = [_components(each, shapes.members(each, workflows)) for each in records]
        return enveloped(request, answers, headers=_total(found))

    async def collection(self, request: web.Request, values: Values) -> web.StreamResponse:
        return enveloped(request, await self._read("collection", values["id"]))

    async def collection_public(self, request: web.Request, values: Values) -> web.StreamResponse:
        shown = await self._read("collection", values["id"])
        answer = shapes.PublicCollection(
            id=shown.id, name=shown.name, description=shown.description, collection_node=shown.components
        )
        return enveloped(request, answer)

    async def collection_dependencies(self, request: web.Request, _: Values) -> web.StreamResponse:
        ids = names(await asked_object(request), "collection_ids")
        async with self._store.looking() as reader:
            found = await reader.by_id("collection", ids)
            records = [_collection(found[each]) for each in ids if each in found]
            stored = await reader.by_reference("workflow", {name for each in records for name in each.workflows})
            workflows = {name: _workflow(each) for name, each in stored.items()}
            models = await reader.named("model", _needed(workflows.values()))
        return enveloped(request, [shapes.collection_dependencies(each, workflows, models) for each in records])

    async def _followed(self, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Stored]]:
        """What was asked for and what that needs, and what there is of it."""
        async with self._store.looking() as reader:
            found = await reader.by_reference("model", wanted)
            followed = await follow(_once(found.values()), _looking(reader))
        wanted += tuple(each.reference for each in followed.met if each.stored is None)
        return wanted, found | {each.reference: each.stored for each in followed.met if each.stored}

    async def _one(self, kind: Kind, reference: str) -> Stored:
        found = await self._store.by_reference(kind, [reference])
        if reference not in found:
            raise absent(kind, reference)
        return found[reference]

    async def _owner(self, identity: str) -> Stored:
        found = await self._store.by_id("model", [identity])
        if not found:
            raise absent("model", identity)
        return found[identity]

    async def _authorization(self, request: web.Request, tokens: Collection[str], who: str) -> web.StreamResponse:
        return enveloped(request, shapes.authorization(await self._store.gated(), tokens, who))


def absent(kind: str, name: str) -> Answer:
    return Answer(
        404, "absent", f"There is no {kind} '{printable(name, 200)}'. Check the name, or add it to the catalog."
    )


def _looking(reader: Looker) -> Look:
    return lambda references: reader.by_reference("model", references)


def _machine(body: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """A machine, and its tokens under the names that records use; never the tokens themselves."""
    machine, tokens = body.get("machine_id"), body.get("tokens")
    if set(body) != {"machine_id", "tokens"} or not isinstance(machine, str) or not isinstance(tokens, list):
        raise bad_body("Send machine_id, and as tokens the names of those that the machine has; nothing else.")
    if len(tokens) > 20 or not all(isinstance(each, str) and len(each) <= 100 for each in tokens):
        raise bad_body("tokens must be an array of at most 20 names.")
    try:
        MachineId.parse(machine)
    except BadSetting as error:
        raise bad_body(f"machine_id cannot be used: {error.facts['why']}.") from None
    known = {TOKEN_NAMES[each.lower()] for each in tokens if each.lower() in TOKEN_NAMES}
    return machine, frozenset({*known, *(["CIVITAI_API_KEY"] if "CIVITAI_TOKEN" in known else [])})


async def _shown(reader: Looker, record: Record) -> Any:
    match record:
        case CatalogModel():
            return docs.doc_of(record)
        case CatalogWorkflow():
            return shapes.workflow(record, await reader.named("model", _needed([record])))
        case CatalogCollection():
            return _components(record, shapes.members(record, await reader.named("workflow", record.workflows)))
        case _:
            assert_never(record)


async def _workflows(reader: Looker, found: Iterable[Stored]) -> list[shapes.Workflow]:
    records = [_workflow(each) for each in found]
    models = await reader.named("model", _needed(records))
    return [shapes.workflow(each, models) for each in records]


def _components(record: CatalogCollection, members: list[shapes.Member]) -> shapes.ComponentsCollection:
    return shapes.ComponentsCollection(
        id=record.id, name=record.name, description=record.description, components=members
    )


def _needed(records: Iterable[CatalogWorkflow]) -> set[str]:
    return {need.model for each in records for need in each.needs}


def _model(stored: Stored) -> CatalogModel:
    return docs.model_of(wire.loads(stored.doc))


def _workflow(stored: Stored) -> CatalogWorkflow:
    return docs.workflow_of(wire.loads(stored.doc))


def _collection(stored: Stored) -> CatalogCollection:
    record = docs.record_of("collection", wire.loads(stored.doc))
    if not isinstance(record, CatalogCollection):
        raise TypeError(type(record).__name__)
    return record


def _once(found: Iterable[Stored]) -> list[Stored]:
    return list({each.id: each for each in found}.values())


def _total(page: Page[Stored]) -> dict[str, str]:
    return {"X-Total-Count": str(page.total), **({"X-Total-More": "true"} if page.more else {})}
