"""Every route, and its exact shape."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from model_manager.catalog.http import MAX_LIMIT

from .conftest import SHA256, Client

URL_OF_FLUX = "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors"
FLUX: dict[str, Any] = {
    "id": "flux-dev",
    "name": "flux1-dev.safetensors",
    "downloadUrl": URL_OF_FLUX,
    "saveTo": "models/unet/flux1-dev.safetensors",
    "fileSize": 23_802_932_552,
    "hash": SHA256,
    "isAuthReq": True,
    "authEnvVar": "HF_TOKEN",
    "modelType": "unet",
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
}
MEMBERS = [{"id": "w1", "name": "txt2img"}, {"id": "w2", "name": "lcm"}, {"id": None, "name": "gone"}]

BOTH_NAMES = pytest.mark.parametrize("prefix", ["/workflows", "/component-definitions"])


@BOTH_NAMES
async def test_a_workflow_is_found_by_name_with_models_relations_and_nodes(client: Client, prefix: str) -> None:
    assert await client.data(f"{prefix}/name/txt2img") == TXT2IMG


@BOTH_NAMES
async def test_a_workflow_is_found_by_id(client: Client, prefix: str) -> None:
    assert await client.data(f"{prefix}/w1") == TXT2IMG


@BOTH_NAMES
async def test_workflows_are_listed_in_pages(client: Client, prefix: str) -> None:
    assert [item["name"] for item in await client.data(prefix)] == ["lcm", "txt2img"]
    async with client.session.get(f"{prefix}?limit=1&offset=1") as response:
        assert response.headers["X-Total-Count"] == "2"
        assert (await response.json())["data"] == [TXT2IMG]


@BOTH_NAMES
async def test_workflows_are_searched(client: Client, prefix: str) -> None:
    assert [item["name"] for item in await client.data(f"{prefix}?search=TXT")] == ["txt2img"]


@BOTH_NAMES
async def test_dependencies_of_workflows_come_by_name_and_by_id(client: Client, prefix: str) -> None:
    by_name = await client.post(f"{prefix}/dependencies", {"workflow_names": ["txt2img", "unheard-of"]})
    row = {
        "workflow_id": "w1",
        "workflow_name": "txt2img",
        "models": TXT2IMG["models"],
        "workflow_model": RELATIONS,
        "custom_nodes": ["node-b", "node-a"],
    }
    assert by_name == (200, {"data": [row], "error": None})
    _, by_id = await client.post(f"{prefix}/dependencies", {"workflow_ids": ["w2"], "workflow_names": ["txt2img"]})
    assert [item["workflow_name"] for item in by_id["data"]] == ["lcm", "txt2img"]


async def test_a_collection_lists_components(client: Client) -> None:
    expected = {"id": "c1", "name": "both", "description": ""}
    assert await client.data("/collections/c1") == {**expected, "components": MEMBERS}
    assert await client.data("/collections/c1/public") == {**expected, "collection_node": MEMBERS}


async def test_dependencies_of_collections_say_which_workflows_are_unknown(client: Client) -> None:
    status, body = await client.post("/collections/dependencies", {"collection_ids": ["c1", "unheard-of"]})
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


async def test_a_model_is_found_by_name_and_by_id(client: Client) -> None:
    assert await client.data("/models/name/flux1-dev.safetensors") == FLUX
    assert await client.data("/models/flux-dev") == FLUX


@pytest.mark.parametrize("written", ["SD15/LCM/realism.safetensors", "SD15%2FLCM%2Frealism.safetensors"])
async def test_a_model_name_may_contain_slashes(client: Client, written: str) -> None:
    async with client.session.get(URL(f"/models/name/{written}", encoded=True)) as response:
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
async def test_models_are_filtered_and_paged(client: Client, query: str, names: list[str]) -> None:
    assert [item["name"] for item in await client.data(f"/models?{query}")] == names


async def test_a_list_says_how_many_there_are_beyond_its_page(client: Client) -> None:
    async with client.session.get("/models?limit=1&offset=50") as response:
        assert response.headers["X-Total-Count"] == "4"


async def test_a_batch_takes_ids_and_names_and_says_what_it_did_not_find(client: Client) -> None:
    asked = ["t5", "t5xxl.safetensors", "flux1-dev.safetensors", "nowhere", "nowhere"]
    status, body = await client.post("/models/batch", {"model_ids": asked})
    assert status == 200
    assert [item["id"] for item in body["data"]["models"]] == ["t5", "flux-dev"]
    assert body["data"]["models"][1] == FLUX
    assert body["data"]["not_found"] == ["nowhere"]


async def test_the_bare_family_has_no_envelope(client: Client) -> None:
    assert await client.get("/api/models/flux-dev") == (200, FLUX_API)
    status, body = await client.post("/api/models/batch", {"model_ids": ["flux-dev", "nowhere"]})
    assert (status, body) == (200, {"models": [FLUX_API], "not_found": ["nowhere"]})


async def test_the_bare_family_refuses_in_its_own_shape(client: Client) -> None:
    assert await client.get("/api/models/nowhere") == (404, {"error": "Model not found", "model_id": "nowhere"})
    status, body = await client.post("/api/models/batch", {"model_ids": "flux-dev"})
    assert (status, set(body)) == (400, {"error"})
    status, body = await client.get("/api/nothing")
    assert (status, set(body)) == (404, {"error"})


@pytest.mark.parametrize("method", ["get", "post"])
async def test_validate_auth_counts_gated_models_by_variable(client: Client, method: str) -> None:
    async with client.session.request(method, "/models/validate-auth") as response:
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
    }


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
        "/models/name/%ff%00%0a",
    ],
)
async def test_what_is_not_there_is_404_in_an_envelope(client: Client, path: str) -> None:
    async with client.session.get(URL(path, encoded=True)) as response:
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
    ],
)
async def test_a_query_of_the_wrong_shape_is_400(client: Client, query: str) -> None:
    status, body = await client.get(f"/models?{query}")
    assert (status, body["data"]) == (400, None)
    assert "must be" in body["error"]


async def test_health_counts_what_is_there(client: Client) -> None:
    assert await client.data("/health") == {"state": "loaded", "models": 4, "workflows": 2, "collections": 1}
