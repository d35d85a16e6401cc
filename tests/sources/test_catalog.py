from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as server

from model_manager.errors import BadRecord, CatalogUnavailable, CatalogUnreachable, NotAuthorized, NotFound
from model_manager.facts.model import CollectionRecord, Model, WorkflowRecord
from model_manager.sources.catalog import AT_ONCE, Catalog, catalog_at
from tests.sources.serving import served


def record(name: str, **changes) -> dict:
    return {
        "id": f"id-{name}",
        "name": name,
        "downloadUrl": f"https://h.example/{name}",
        "saveTo": f"models/vae/{name}",
        **changes,
    }


class Server:
    """Routes → what they answer: JSON content (in the envelope), a status, or a function of the body."""

    def __init__(self, routes: dict[str, object]) -> None:
        self.routes = routes
        self.asked: Counter[str] = Counter()

    async def __call__(self, request):
        key = f"{request.method} {request.path}"
        self.asked[key] += 1
        answer = self.routes.get(key, 404)
        if callable(answer):
            answer = answer(await request.json())
        if isinstance(answer, int):
            return server.json_response({"data": None, "error": "x"}, status=answer)
        return server.json_response({"data": answer, "error": None})


@asynccontextmanager
async def catalog(**routes):
    serving = Server(routes)
    async with served(serving.__call__) as host, catalog_at(f"http://{host}", per_minute=10_000) as client:
        yield client, serving


def rows(*records: dict):
    def answer(body: dict) -> dict:
        found = [row for row in records if {row["name"], row["id"]} & set(body["model_ids"])]
        known = {key for row in found for key in (row["name"], row["id"])}
        return {"models": found, "not_found": [name for name in body["model_ids"] if name not in known]}

    return answer


TOLD = {
    "workflow_id": "1",
    "workflow_name": "w",
    "models": ["a"],
    "workflow_model": [{"model_name": "b", "is_required": False}],
}
VAGUE = {"workflow_id": "1", "workflow_name": "w", "models": ["a", "b"], "custom_nodes": []}
BATCH = "POST /workflows/dependencies"


async def test_one_batch_question_is_enough_where_it_tells_what_is_optional():
    async with catalog(**{BATCH: [TOLD]}) as (client, serving):
        found = await client.workflows(["w", "w"])
    assert found == {"w": WorkflowRecord(name="w", id="1", models=("a",), optional=("b",))}
    assert serving.asked == {BATCH: 1}


async def test_a_vague_batch_answer_is_made_precise_one_by_one_and_not_asked_first_again():
    single = {"name": "w", "models": ["a", "b"], "workflow_model": [{"model": {"name": "b"}, "is_required": False}]}
    async with catalog(**{BATCH: [VAGUE], "GET /workflows/name/w": single}) as (client, serving):
        for _ in range(2):
            found = await client.workflows(["w"])
            assert (found["w"].models, found["w"].optional) == (("a",), ("b",))
    assert serving.asked == {BATCH: 1, "GET /workflows/name/w": 2}


async def test_a_vague_batch_answer_stands_in_for_what_cannot_be_asked_alone():
    async with catalog(**{BATCH: [VAGUE], "GET /workflows/name/w": 500}) as (client, _):
        for _ in range(2):
            assert (await client.workflows(["w"]))["w"].models == ("a", "b")


async def test_the_new_name_of_workflows_is_tried_too_and_absent_routes_are_remembered():
    async with catalog(**{"GET /component-definitions/name/w": {"name": "w", "models": ["a"]}}) as (client, serving):
        for _ in range(2):
            assert (await client.workflows(["w"]))["w"].models == ("a",)
    assert serving.asked[BATCH] == 1


async def test_a_workflow_may_be_known_by_its_id():
    identity = "373617e1-d355-4b9b-bbd8-c13c93bf433a"

    def answer(body):
        assert body == {"workflow_names": [identity], "workflow_ids": [identity]}
        return [{**TOLD, "workflow_id": identity}]

    async with catalog(**{BATCH: answer}) as (client, _):
        found = await client.workflows([identity])
    assert found[identity].name == "w"


async def test_f4_each_name_has_its_own_answer():
    routes = {
        "GET /workflows/name/good": {"name": "good", "models": []},
        "GET /workflows/name/broken": 500,
        "GET /workflows/name/odd": {"name": "odd"},
        "GET /workflows/name/other": {"name": "another", "models": []},
    }
    async with catalog(**routes) as (client, _):
        found = await client.workflows(["good", "broken", "odd", "other", "gone"])
    kinds = {name: type(answer) for name, answer in found.items()}
    assert kinds == {
        "good": WorkflowRecord,
        "broken": CatalogUnavailable,
        "odd": BadRecord,
        "other": BadRecord,
        "gone": NotFound,
    }


@pytest.mark.parametrize(
    "answer", [[], {}, "x", 5, {"models": None}, [None], [5], [{}], [{"workflow_name": "w"}], 500, 400, 401]
)
async def test_f3_a_useless_batch_answer_is_no_answer(answer):
    async with catalog(**{BATCH: answer, "GET /workflows/name/w": {"name": "w", "models": ["a"]}}) as (client, _):
        assert (await client.workflows(["w"]))["w"].models == ("a",)


@pytest.mark.parametrize("node", ["collection_node", "components"])
async def test_collections_public_or_not(node):
    route = "public" if node == "collection_node" else ""
    path = f"GET /collections/c/{route}".rstrip("/")
    async with catalog(**{path: {"id": "c", node: [{"name": "w"}]}}) as (client, _):
        assert await client.collections(["c"]) == {"c": CollectionRecord(id="c", workflows=("w",))}


async def test_a_private_collection_is_not_taken_for_an_empty_one():
    async with catalog(**{"GET /collections/c/public": 403}) as (client, _):
        assert isinstance((await client.collections(["c"]))["c"], NotAuthorized)


async def test_models_come_in_one_batch_by_name_or_id():
    async with catalog(**{"POST /models/batch": rows(record("a.pt"), record("b.pt"))}) as (client, serving):
        found = await client.models(["a.pt", "id-b.pt"])
    assert {key: model.name for key, model in found.items()} == {"a.pt": "a.pt", "id-b.pt": "b.pt"}
    assert serving.asked == {"POST /models/batch": 1}


async def test_what_one_family_does_not_have_the_other_is_asked_for():
    snake = {"id": "flux", "name": "f.pt", "download_url": "https://h.example/f", "save_path": "vae/f.pt"}
    routes = {
        "POST /models/batch": rows(record("a.pt")),
        "POST /api/models/batch": lambda body: {
            "models": [snake] if "flux" in body["model_ids"] else [],
            "not_found": [],
        },
        "GET /models/name/c.pt": record("c.pt"),
        "GET /models/d": record("d.pt", id="d"),
        "GET /api/models/e": record("e.pt", id="e"),
    }
    async with catalog(**routes) as (client, _):
        found = await client.models(["a.pt", "flux", "c.pt", "d", "e", "gone"])
    names = {key: answer.name for key, answer in found.items() if isinstance(answer, Model)}
    assert names == {"a.pt": "a.pt", "flux": "f.pt", "c.pt": "c.pt", "d": "d.pt", "e": "e.pt"}
    assert isinstance(found["gone"], NotFound)


async def test_a_bare_record_of_a_batch_is_looked_up_again_by_name():
    poor = {"id": "1", "name": "a.pt", "description": "no address"}
    async with catalog(**{"POST /models/batch": rows(poor), "GET /models/name/a.pt": record("a.pt")}) as (client, _):
        assert isinstance((await client.models(["a.pt"]))["a.pt"], Model)
    async with catalog(**{"POST /models/batch": rows(poor)}) as (client, _):
        assert isinstance((await client.models(["a.pt"]))["a.pt"], BadRecord)


async def test_k1_one_bad_model_is_one_failure():
    bad = record("bad.pt", saveTo="../../etc/cron.d/x")
    async with catalog(**{"POST /models/batch": rows(bad, record("a.pt"))}) as (client, _):
        found = await client.models(["bad.pt", "a.pt"])
    assert isinstance(found["bad.pt"], BadRecord)
    assert isinstance(found["a.pt"], Model)


async def test_many_models_are_asked_for_in_bounded_batches():
    names = [f"{n}.pt" for n in range(1100)]
    sizes = []

    def answer(body):
        sizes.append(len(body["model_ids"]))
        return [record(name) for name in body["model_ids"]]

    async with catalog(**{"POST /models/batch": answer}) as (client, _):
        assert len(await client.models(names)) == 1100
    assert sizes == [500, 500, 100]


async def test_f1_nobody_there_is_the_answer_to_every_name(unused_tcp_port):
    async with catalog_at(f"http://127.0.0.1:{unused_tcp_port}") as client:
        for found in (
            await client.workflows(["a", "b"]),
            await client.collections(["a"]),
            await client.models(["a", "b", "c"]),
        ):
            assert all(isinstance(answer, CatalogUnreachable) for answer in found.values())
            assert found


async def test_f1_after_the_first_sign_that_nobody_is_there_the_rest_is_not_tried():
    asked = []

    class Away:
        host = "catalog:80"

        async def ask(self, method: str, path: str, body: object = None) -> object:
            asked.append(path)
            raise CatalogUnreachable(host=self.host, why="no connection came about in time")

    found = await Catalog(Away()).collections([str(n) for n in range(100)])
    assert len(found) == 100
    assert len(asked) <= AT_ONCE


async def test_what_models_need_comes_along_under_the_names_by_which_they_need_it():
    needs = [record("a.pt", dependencies=["id-b.pt"]), record("b.pt", dependencies=["c.pt"]), record("c.pt")]

    def answer(body):
        assert body == {"model_ids": ["a.pt"], "dependencies": True}
        return [*needs, record("stranger.pt")]

    async with catalog(**{"POST /models/batch": answer}) as (client, _):
        found = await client.models(["a.pt"])
    assert {name: model.name for name, model in found.items()} == {"a.pt": "a.pt", "id-b.pt": "b.pt", "c.pt": "c.pt"}


async def test_a_server_that_refuses_to_follow_is_asked_plainly_from_then_on():
    def answer(body):
        return 400 if "dependencies" in body else [record(name) for name in body["model_ids"]]

    async with catalog(**{"POST /models/batch": answer}) as (client, serving):
        for name in ("a.pt", "b.pt"):
            assert isinstance((await client.models([name]))[name], Model)
    assert serving.asked == {"POST /models/batch": 3}


async def test_a_catalog_without_a_feed_says_so():
    async with catalog() as (client, _):
        with pytest.raises(NotFound):
            await anext(client.listen(""))


async def test_a_feed_is_heard_from_the_place_where_it_was_left():
    heard = []

    async def stream(request):
        heard.append(request.headers.get("Last-Event-ID"))
        change = b'{"kind":"model","id":"m","name":"a.pt"}'
        body = (
            b"retry: 1\n\nid: 0-1\nevent: here\ndata: {}\n\n: here\n\nid: 0-2\nevent: change\ndata: " + change + b"\n\n"
        )
        return server.Response(body=body, content_type="text/event-stream")

    async with served(stream) as host, catalog_at(f"http://{host}") as client:
        told = [each async for each in client.listen("0-0")]
    assert heard == ["0-0"]
    assert [(each.cursor, each.subjects) for each in told] == [("0-1", frozenset()), ("0-2", {"m", "a.pt"})]


async def test_twenty_workflows_with_two_hundred_models_are_described_in_two_requests(tmp_path):
    from model_manager.catalog.incoming.bulk import load
    from model_manager.catalog.incoming.loading import as_written
    from model_manager.catalog.run import opened
    from model_manager.catalog.server import Rules
    from model_manager.catalog.server import Server as Ours
    from model_manager.facts.model import Assignment
    from model_manager.serving.listening import listening
    from model_manager.sources.catalog_cache import CachedCatalog

    models = [record(f"{n}.pt", dependencies=[f"{n + 1}.pt"] if n % 20 == 0 else []) for n in range(200)]
    flows = [
        {"name": f"w{n}", "models": [f"{m}.pt" for m in range(10 * n, 10 * n + 10) if m % 20 != 1]} for n in range(20)
    ]
    async with opened(tmp_path / "c.sqlite") as store:
        await load(store, as_written({"models": models, "workflows": flows}), "test")
        application, asked = Ours(store, Rules()).application(), []

        @server.middleware
        async def counting(request, handler):
            asked.append(f"{request.method} {request.path}")
            return await handler(request)

        application.middlewares.insert(0, counting)
        async with listening(application, "127.0.0.1", 0, "X") as url, catalog_at(url) as client:
            assignment = Assignment(workflows=tuple(f"w{n}" for n in range(20)))
            described = await CachedCatalog(client, tmp_path / "cache").describe(assignment)
    assert asked == ["POST /workflows/dependencies", "POST /models/batch"]
    assert len(described.models) == 200
    assert all(isinstance(each, Model) for _, each in described.models)


async def test_nothing_asked_is_nothing_answered():
    async with catalog() as (client, serving):
        assert (await client.workflows([]), await client.collections([]), await client.models([])) == ({}, {}, {})
    assert not serving.asked


async def test_our_own_catalog_is_understood(tmp_path):
    from model_manager.catalog.incoming.loading import load
    from model_manager.catalog.run import serve

    database = tmp_path / "catalog.db"
    await load(
        database,
        {
            "models": [record("a.pt", dependencies=["b.pt"]), record("b.pt", fileSize=5)],
            "workflows": [{"name": "w", "models": ["a.pt"], "optional": ["b.pt"]}],
            "collections": [{"id": "c", "workflows": ["w"]}],
        },
    )
    async with serve(database) as url, catalog_at(url) as client:
        collection = (await client.collections(["c"]))["c"]
        workflow = (await client.workflows(["w", "nope"]))["w"]
        models = await client.models(["a.pt", "id-b.pt", "nope"])
    assert collection.workflows == ("w",)
    assert (workflow.models, workflow.optional) == (("a.pt",), ("b.pt",))
    assert models["a.pt"].depends
    assert models["id-b.pt"].size.bytes == 5
    assert isinstance(models["nope"], NotFound)


SPELLINGS = [
    ("workflows", "/workflows/dependencies"),
    ("workflows", "/component-definitions/dependencies"),
    ("workflows", "/workflows/name/"),
    ("workflows", "/component-definitions/name/"),
    ("collections", "/collections/c/public"),
    ("collections", "/collections/c"),
    ("models", "/models/batch"),
    ("models", "/models/name/"),
    ("models", "/models/a.pt"),
    ("models", "/api/models/batch"),
    ("models", "/api/models/a.pt"),
]
NAMES = {"workflows": "w", "collections": "c", "models": "a.pt"}


@pytest.mark.parametrize(("kind", "route"), SPELLINGS)
async def test_every_route_and_spelling_of_our_own_catalog_says_the_same(tmp_path, kind, route):
    from model_manager.catalog.incoming.bulk import load
    from model_manager.catalog.incoming.loading import as_written
    from model_manager.catalog.run import opened
    from model_manager.catalog.server import Rules
    from model_manager.catalog.server import Server as Ours
    from model_manager.serving.listening import listening

    more = {
        "hash": "a1" * 32,
        "fileSize": "17.2GB",
        "isAuthReq": True,
        "authEnvVar": "HF_TOKEN",
        "dependencies": ["b.pt"],
    }
    shop = {
        "models": [record("a.pt", **more), record("b.pt")],
        "workflows": [{"id": "1", "name": "w", "models": ["a.pt"], "optional": ["b.pt"], "custom_nodes": ["node"]}],
        "collections": [{"id": "c", "workflows": ["w"]}],
    }
    asked = []

    @server.middleware
    async def only(request, handler):
        if not (request.path.startswith(route) if route.endswith("/") else request.path == route):
            return server.json_response({"data": None, "error": "hidden"}, status=404)
        asked.append(request.path)
        return await handler(request)

    async with opened(tmp_path / "c.sqlite") as store:
        await load(store, as_written(shop), "test")
        application = Ours(store, Rules()).application()
        async with listening(application, "127.0.0.1", 0, "X") as url, catalog_at(url, per_minute=10_000) as client:
            whole = (await getattr(client, kind)([NAMES[kind]]))[NAMES[kind]]
        hidden = Ours(store, Rules()).application()
        hidden.middlewares.insert(0, only)
        async with listening(hidden, "127.0.0.1", 0, "X") as url, catalog_at(url, per_minute=10_000) as client:
            alone = (await getattr(client, kind)([NAMES[kind]]))[NAMES[kind]]
    assert asked
    assert alone == whole
    assert not isinstance(alone, Exception)
