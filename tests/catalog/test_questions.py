"""What readers ask, and the exact shape of each answer, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from model_manager.catalog.routes import MAX_LIMIT

from .conftest import RECORDS, SHA256, Client

URL_OF_FLUX = "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors"
FLUX: dict[str, Any] = {
    "id": "flux-dev",
    "name": "flux1-dev.safetensors",
    "version": "1",
    "downloadUrl": URL_OF_FLUX,
    "sources": [URL_OF_FLUX],
    "saveTo": "models/unet/flux1-dev.safetensors",
    "fileSize": 23_802_932_552,
    "hash": SHA256,
    "hashes": {},
    "isAuthReq": True,
    "authEnvVar": "HF_TOKEN",
    "modelType": "unet",
    "baseModel": "",
    "licence": "",
    "vramGb": None,
    "description": "FLUX 100% dev",
    "dependencies": ["t5"],
}
FLUX_API: dict[str, Any] = {
    "id": "flux-dev",
    "name": "flux1-dev.safetensors",
    "download_url": URL_OF_FLUX,
    "file_size_gb": 23.802933,
    "hash": SHA256,
    "auth_required": True,
    "auth_provider": "huggingface",
    "save_path": "models/unet/flux1-dev.safetensors",
    "dependencies": ["t5"],
    "description": "FLUX 100% dev",
}
RELATIONS = [
    {"workflow_id": "w1", "model_id": "flux-dev", "model_name": "flux1-dev.safetensors", "is_required": True},
    {"workflow_id": "w1", "model_id": None, "model_name": "nowhere.safetensors", "is_required": True},
    {"workflow_id": "w1", "model_id": "look.safetensors", "model_name": "look.safetensors", "is_required": False},
]
TXT2IMG: dict[str, Any] = {
    "id": "w1",
    "name": "txt2img",
    "description": "",
    "models": ["flux1-dev.safetensors", "nowhere.safetensors", "look.safetensors"],
    "workflow_model": RELATIONS,
    "custom_nodes": ["node-b", "node-a"],
    "workflow_custom_node": [
        {"name": name, "repositoryUrl": "", "branch": "", "commit": "", "install_order": at}
        for at, name in enumerate(["node-b", "node-a"])
    ],
    "minVramGb": None,
    "machineType": "",
}
MEMBERS = [{"id": "w1", "name": "txt2img"}, {"id": "w2", "name": "lcm"}, {"id": None, "name": "gone"}]

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH_NAMES = pytest.mark.parametrize("prefix", ["/workflows", "/component-definitions"])


@BOTH_NAMES
async def test_a_workflow_is_found_by_name_with_models_relations_and_nodes(reader: Client, prefix: str) -> None:
    assert await reader.data(f"{prefix}/name/txt2img") == TXT2IMG


@BOTH_NAMES
async def test_a_workflow_is_found_by_id(reader: Client, prefix: str) -> None:
    assert await reader.data(f"{prefix}/w1") == TXT2IMG


@BOTH_NAMES
async def test_workflows_are_listed_in_pages(reader: Client, prefix: str) -> None:
    assert [item["name"] for item in await reader.data(prefix)] == ["lcm", "txt2img"]
    async with reader.session.get(f"{prefix}?limit=1&offset=1") as response:
        assert response.headers["X-Total-Count"] == "2"
        assert (await response.json())["data"] == [TXT2IMG]


@BOTH_NAMES
async def test_workflows_are_searched(reader: Client, prefix: str) -> None:
    assert [item["name"] for item in await reader.data(f"{prefix}?search=TXT")] == ["txt2img"]


@BOTH_NAMES
async def test_dependencies_of_workflows_come_by_name_and_by_id(reader: Client, prefix: str) -> None:
    by_name = await reader.post(f"{prefix}/dependencies", {"workflow_names": ["txt2img", "unheard-of"]})
    row = {
        "workflow_id": "w1",
        "workflow_name": "txt2img",
        "models": TXT2IMG["models"],
        "workflow_model": RELATIONS,
        "custom_nodes": ["node-b", "node-a"],
    }
    assert by_name == (200, {"data": [row], "error": None})
    _, by_id = await reader.post(f"{prefix}/dependencies", {"workflow_ids": ["w2"], "workflow_names": ["txt2img"]})
    assert [item["workflow_name"] for item in by_id["data"]] == ["lcm", "txt2img"]


async def test_a_collection_lists_components(reader: Client) -> None:
    expected = {"id": "c1", "name": "both", "description": ""}
    assert await reader.data("/collections/c1") == {**expected, "components": MEMBERS}
    assert await reader.data("/collections/c1/public") == {**expected, "collection_node": MEMBERS}


async def test_dependencies_of_collections_say_which_workflows_are_unknown(reader: Client) -> None:
    status, body = await reader.post("/collections/dependencies", {"collection_ids": ["c1", "unheard-of"]})
    assert status == 200
    assert body == {
        "data": [
            {
                "collection_id": "c1",
                "models": [*TXT2IMG["models"], "SD15/LCM/realism.safetensors"],
                "custom_nodes": ["node-b", "node-a"],
                "missing_workflows": ["gone"],
            }
        ],
        "error": None,
    }


async def test_a_model_is_found_by_name_and_by_id(reader: Client) -> None:
    assert await reader.data("/models/name/flux1-dev.safetensors") == FLUX
    assert await reader.data("/models/flux-dev") == FLUX


@pytest.mark.parametrize("written", ["SD15/LCM/realism.safetensors", "SD15%2FLCM%2Frealism.safetensors"])
async def test_a_model_name_may_contain_slashes(reader: Client, written: str) -> None:
    async with reader.session.get(URL(f"/models/name/{written}", encoded=True)) as response:
        assert (await response.json())["data"]["name"] == "SD15/LCM/realism.safetensors"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["SD15/LCM/realism.safetensors", "flux1-dev.safetensors", "look.safetensors", "t5xxl.safetensors"]),
        ("name=t5xxl.safetensors", ["t5xxl.safetensors"]),
        ("search=LOOK", ["look.safetensors"]),
        ("search=100%25", ["flux1-dev.safetensors"]),
        ("search=_", []),
        ("model_type=text_encoders", ["t5xxl.safetensors"]),
        ("auth_only=true", ["SD15/LCM/realism.safetensors", "flux1-dev.safetensors"]),
        ("auth_only=false&limit=1&offset=3", ["t5xxl.safetensors"]),
        ("limit=1&offset=99", []),
    ],
)
async def test_models_are_filtered_and_paged(reader: Client, query: str, names: list[str]) -> None:
    assert [item["name"] for item in await reader.data(f"/models?{query}")] == names


async def test_a_list_says_how_many_there_are_beyond_its_page(reader: Client) -> None:
    async with reader.session.get("/models?limit=1&offset=50") as response:
        assert response.headers["X-Total-Count"] == "4"


async def test_a_batch_takes_ids_and_names_and_says_what_it_did_not_find(reader: Client) -> None:
    asked = ["t5", "t5xxl.safetensors", "flux1-dev.safetensors", "nowhere", "nowhere"]
    status, body = await reader.post("/models/batch", {"model_ids": asked})
    assert status == 200
    assert [item["id"] for item in body["data"]["models"]] == ["t5", "flux-dev"]
    assert body["data"]["models"][1] == FLUX
    assert body["data"]["not_found"] == ["nowhere"]


async def test_the_bare_family_has_no_envelope(reader: Client) -> None:
    assert await reader.get("/api/models/flux-dev") == (200, FLUX_API)
    status, body = await reader.post("/api/models/batch", {"model_ids": ["flux-dev", "nowhere"]})
    assert (status, body) == (200, {"models": [FLUX_API], "not_found": ["nowhere"]})


async def test_the_bare_family_refuses_in_its_own_shape(reader: Client) -> None:
    assert await reader.get("/api/models/nowhere") == (404, {"error": "Model not found", "model_id": "nowhere"})
    status, body = await reader.post("/api/models/batch", {"model_ids": "flux-dev"})
    assert (status, set(body)) == (400, {"error"})
    status, body = await reader.get("/api/nothing")
    assert (status, set(body)) == (404, {"error"})


@pytest.mark.parametrize("method", ["get", "post"])
async def test_validate_auth_counts_gated_models_by_variable(reader: Client, method: str) -> None:
    async with reader.session.request(method, "/models/validate-auth") as response:
        body = await response.json()
    assert body["error"] is None
    assert body["data"] == {
        "totalModelsRequiringAuth": 2,
        "authProviders": [
            {
                "envVar": "CIVITAI_TOKEN",
                "isAvailable": False,
                "modelCount": 1,
                "modelNames": ["SD15/LCM/realism.safetensors"],
            },
            {"envVar": "HF_TOKEN", "isAvailable": True, "modelCount": 1, "modelNames": ["flux1-dev.safetensors"]},
        ],
        "asked": "this server",
    }


async def test_a_machine_that_told_its_tokens_is_answered_for_itself(reader: Client) -> None:
    told = {"machine_id": "gpu-1", "tokens": ["CIVITAI_API_KEY", "AWS_SECRET_ACCESS_KEY"]}
    _, answered = await reader.post("/models/validate-auth", told)
    for answer in (answered["data"], await reader.data("/models/validate-auth?machine_id=gpu-1")):
        assert answer["asked"] == "gpu-1"
        assert {each["envVar"]: each["isAvailable"] for each in answer["authProviders"]} == {
            "CIVITAI_TOKEN": True,
            "HF_TOKEN": False,
        }
    assert (await reader.get("/models/validate-auth?machine_id=gpu-2"))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/workflows/name/nowhere",
        "/workflows/nowhere",
        "/component-definitions/name/nowhere",
        "/collections/nowhere",
        "/collections/nowhere/public",
        "/models/name/nowhere",
        "/models/nowhere",
        "/nothing",
    ],
)
async def test_what_is_not_there_is_404_in_an_envelope(reader: Client, path: str) -> None:
    async with reader.session.get(URL(path, encoded=True)) as response:
        body = await response.json()
    assert (response.status, set(body), body["data"]) == (404, {"data", "error"}, None)
    assert body["error"].isprintable()


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        f"limit={MAX_LIMIT + 1}",
        "limit=ten",
        "limit=",
        "limit=²",
        "offset=-1",
        "limit=99999999999999999999",
        "auth_only=maybe",
        "search=%00",
        "unknown=1",
        "hash=zz",
    ],
)
async def test_a_query_of_the_wrong_shape_is_400(reader: Client, query: str) -> None:
    status, body = await reader.get(f"/models?{query}")
    assert (status, body["data"]) == (400, None)
    assert body["error"].startswith("'")


async def test_a_hash_is_found_by_its_beginning_too(reader: Client) -> None:
    for digits in (SHA256, SHA256[:10].upper()):
        assert [item["id"] for item in await reader.data(f"/models?hash={digits}")] == ["flux-dev"]
    assert await reader.data(f"/models?hash={SHA256[:-1]}b") == []


async def test_a_list_goes_on_after_a_name(reader: Client) -> None:
    seen: list[str] = []
    while page := await reader.data(f"/models?limit=2&after={seen[-1] if seen else '!'}"):
        seen += [item["name"] for item in page]
    assert seen == sorted(model["name"] for model in RECORDS["models"])


async def test_models_of_a_workflow_come_whole_and_the_missing_ones_by_name(reader: Client) -> None:
    answer = await reader.data("/workflows/w1/models")
    assert [item["id"] for item in answer["models"]] == ["flux-dev", "look.safetensors"]
    assert answer["not_found"] == ["nowhere.safetensors"]


async def test_dependencies_are_followed_and_what_is_missing_is_named(reader: Client) -> None:
    answer = await reader.data("/models/flux-dev/dependencies")
    (met,) = answer["dependencies"]
    assert met == {"id": "t5", "name": "t5xxl.safetensors", "depth": 1, "needed_by": "flux1-dev.safetensors"}
    assert (answer["missing"], answer["cycles"], answer["complete"]) == ([], [], True)


async def test_a_batch_brings_what_its_models_need_when_it_is_asked_to(reader: Client) -> None:
    _, body = await reader.post("/models/batch", {"model_ids": ["flux-dev"], "dependencies": True})
    assert [item["id"] for item in body["data"]["models"]] == ["flux-dev", "t5"]


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "'; DROP TABLE model; --", "flux-dev\\", "\u202e"])
async def test_k12_what_looks_like_sql_is_text(reader: Client, text: str) -> None:
    async with reader.session.get("/models", params={"name": text}) as response:
        assert (await response.json())["data"] == []
    async with reader.session.get("/models", params={"search": text}) as response:
        assert len((await response.json())["data"]) == (1 if text == "%" else 0)
    status, body = await reader.post("/models/batch", {"model_ids": [text, "t5", "\u0000"]})
    assert (status, len(body["data"]["models"])) == (200, 1)
    assert len(await reader.data("/models")) == 4
