"""Who writes what, held against the answers, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .conftest import ADDRESS, RECORDS, SHA256, Client, asking, model

NEW = model("new.safetensors")


async def test_put_makes_replaces_and_changes_nothing_twice(each_client: Client) -> None:
    status, made = await each_client.put("/models/new", NEW)
    assert (status, made["data"]["modelType"]) == (201, "vae")
    cursor = (await each_client.data("/health"))["cursor"]
    assert (await each_client.put("/models/new", NEW))[0] == 200
    assert (await each_client.data("/health"))["cursor"] == cursor
    assert (await each_client.put("/models/new", NEW | {"licence": "MIT"}))[0] == 200
    assert (await each_client.data("/models/new"))["licence"] == "MIT"
    assert (await each_client.data("/health"))["cursor"] != cursor


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/models/t5", {"licence": "apache-2.0"}),
        ("/workflows/w1", {"minVramGb": 24}),
        ("/collections/c1", {"name": "all"}),
    ],
)
async def test_what_get_answers_can_be_put_back_changed(each_client: Client, path: str, change: dict[str, Any]) -> None:
    before = await each_client.data(path)
    status, body = await each_client.put(path, before | change)
    assert (status, body["data"]) == (200, before | change)
    assert await each_client.data(path) == before | change


async def test_a_write_with_an_old_tag_is_412_and_with_the_current_one_it_is_made(each_client: Client) -> None:
    tag = await each_client.tag("/models/t5")
    content = await each_client.data("/models/t5")
    assert (await each_client.put("/models/t5", content | {"licence": "a"}, If_Match=tag))[0] == 200
    status, body = await each_client.put("/models/t5", content | {"licence": "b"}, If_Match=tag)
    assert (status, body["data"]) == (412, None)
    assert (await each_client.data("/models/t5"))["licence"] == "a"
    assert (await each_client.ask("DELETE", "/models/t5?force=true", If_Match=tag))[0] == 412
    assert (await each_client.put("/models/t5", content, If_None_Match="*"))[0] == 412
    assert (await each_client.put("/models/nothing", model("n.pt"), If_Match="*"))[0] == 412


async def test_the_tag_of_an_answered_write_is_that_of_the_next_get(each_client: Client) -> None:
    for path, body in (("/models/a", NEW), ("/workflows/a", {"name": "a", "models": ["t5"]}), ("/collections/a", {})):
        async with each_client.session.put(path, json=body, headers={"Authorization": "Bearer ann-may-write"}) as put:
            assert put.status == 201
            assert put.headers["ETag"] == await each_client.tag(path)


async def test_post_makes_what_is_not_there_and_nothing_else(each_client: Client) -> None:
    status, body = await each_client.ask("POST", "/models", NEW)
    assert (status, body["data"]["id"]) == (201, "new.safetensors")
    assert (await each_client.ask("POST", "/models", NEW))[0] == 200
    assert (await each_client.ask("POST", "/models", NEW | {"licence": "x"}))[0] == 409
    assert (await each_client.ask("POST", "/workflows", {"name": "w9"}))[0] == 201
    assert (await each_client.ask("POST", "/collections", {"id": "c9"}))[0] == 201


async def test_f6_a_name_belongs_to_one_model(each_client: Client) -> None:
    status, body = await each_client.put("/models/other", model("t5xxl.safetensors"))
    assert status == 409
    assert "'t5' has this name" in body["error"]
    assert (await each_client.get("/models/other"))[0] == 404


async def test_what_others_need_is_deleted_only_by_force(each_client: Client) -> None:
    status, body = await each_client.ask("DELETE", "/models/flux-dev")
    assert status == 409
    assert "workflow:txt2img" in body["error"]
    assert (await each_client.ask("DELETE", "/workflows/w1"))[0] == 409
    for path in ("/models/flux-dev", "/workflows/w1", "/collections/c1"):
        assert (await each_client.ask("DELETE", f"{path}?force=true&dry_run=true"))[0] == 200
        assert (await each_client.get(path))[0] == 200
        assert (await each_client.ask("DELETE", f"{path}?force=true"))[0] == 200
        assert (await each_client.get(path))[0] == 404
        assert (await each_client.ask("DELETE", path))[0] == 404


async def test_one_of_several_versions_is_answered(each_client: Client) -> None:
    assert (await each_client.put("/models/new", NEW))[0] == 201
    assert (await each_client.put("/models/new/versions/2", NEW | {"licence": "two"}))[0] == 201
    assert (await each_client.data("/models/new"))["version"] == "1"
    assert (await each_client.data("/models/new/versions/2"))["licence"] == "two"
    shown = await each_client.data("/models/new/versions")
    assert [(each["version"], each["current"]) for each in shown] == [("1", True), ("2", False)]
    assert (await each_client.put("/models/new/current", {"version": "2"}))[0] == 200
    assert (await each_client.data("/models/name/new.safetensors"))["licence"] == "two"
    assert (await each_client.ask("DELETE", "/models/new/versions/2"))[0] == 409
    assert (await each_client.ask("DELETE", "/models/new/versions/1"))[0] == 200
    assert (await each_client.get("/models/new/versions/1"))[0] == 404
    assert (await each_client.put("/models/new/current", {"version": "1"}))[0] == 404
    assert (await each_client.put("/models/nobody/versions/2", NEW))[0] == 404


async def test_dependencies_that_lead_back_are_refused_with_the_way(each_client: Client) -> None:
    assert (await each_client.put("/models/b", model("b.pt", dependencies=["flux-dev"])))[0] == 201
    content = await each_client.data("/models/t5")
    status, body = await each_client.put("/models/t5", content | {"dependencies": ["b.pt"]})
    assert status == 422
    assert "t5xxl.safetensors → b.pt → flux1-dev.safetensors → t5xxl.safetensors" in body["error"]
    assert (await each_client.put("/models/c", model("c.pt", dependencies=["c.pt"])))[0] == 422


async def test_a_circle_that_closes_by_a_name_that_nobody_had_is_refused(each_client: Client) -> None:
    assert (await each_client.put("/models/b", model("b.pt", dependencies=["a.pt"])))[0] == 201
    for needs in ("b.pt", "b"):
        status, body = await each_client.put("/models/a", model("a.pt", dependencies=[needs]))
        assert (status, "a.pt → b.pt → a.pt" in body["error"]) == (422, True)
    assert (await each_client.put("/models/a", model("a.pt")))[0] == 201
    assert (await each_client.put("/models/a/versions/2", model("a.pt", dependencies=["b"])))[0] == 422


async def test_of_two_who_would_close_a_circle_together_one_is_refused(each_client: Client) -> None:
    for n in range(5):
        one, other = model(f"x{n}.pt", dependencies=[f"y{n}.pt"]), model(f"y{n}.pt", dependencies=[f"x{n}.pt"])
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each_client.put(path, body))
                for path, body in ((f"/models/x{n}", one), (f"/models/y{n}", other))
            ]
        assert sorted(task.result()[0] for task in tasks) == [201, 422]


async def test_versions_are_chosen_and_deleted_only_as_they_were_read(each_client: Client) -> None:
    await each_client.put("/models/new", NEW)
    await each_client.put("/models/new/versions/2", NEW | {"licence": "two"})
    tag = await each_client.tag("/models/new")
    old = await each_client.tag("/models/new/versions/2")
    await each_client.put("/models/new/versions/2", NEW | {"licence": "other"})
    assert (await each_client.ask("DELETE", "/models/new/versions/2", If_Match=old))[0] == 412
    assert (await each_client.put("/models/new/current", {"version": "2"}, If_Match='W/"no"'))[0] == 412
    assert (await each_client.put("/models/new/current", {"version": "2"}, If_Match=tag))[0] == 200
    assert (await each_client.put("/models/new/current", {"version": "1"}, If_Match=tag))[0] == 412
    first = await each_client.tag("/models/new/versions/1")
    assert (await each_client.ask("DELETE", "/models/new/versions/1", If_Match=first))[0] == 200


async def test_a_dry_run_refuses_what_the_run_would_refuse(each_client: Client) -> None:
    await each_client.put("/models/new", NEW)
    await each_client.put("/models/new/versions/2", NEW | {"licence": "two"})
    cursor = (await each_client.data("/health"))["cursor"]
    asked: list[tuple[str, str, object]] = [
        ("DELETE", "/models/new/versions/1", None),
        ("DELETE", "/models/new/versions/3", None),
        ("PUT", "/models/new/versions/3", model("t5xxl.safetensors")),
        ("PUT", "/models/new/current", {"version": "3"}),
        ("DELETE", "/models/t5", None),
        ("DELETE", "/workflows/w1", None),
        ("PUT", "/workflows/w9", {"name": "txt2img"}),
    ]
    for method, path, body in asked:
        said = (await each_client.ask(method, f"{path}?dry_run=true", body))[0]
        assert said == (await each_client.ask(method, path, body))[0] >= 400, path
    assert (await each_client.put("/models/new/current?dry_run=true", {"version": "2"}))[1]["data"]["licence"] == "two"
    assert (await each_client.ask("DELETE", "/models/new/versions/2?dry_run=true"))[0] == 200
    assert (await each_client.data("/health"))["cursor"] == cursor


async def test_a_dry_run_answers_as_if_and_writes_nothing(client: Client) -> None:
    cursor = (await client.data("/health"))["cursor"]
    status, body = await client.put("/models/new?dry_run=true", NEW)
    assert (status, body["data"]["name"]) == (201, "new.safetensors")
    assert (await client.put("/models/other?dry_run=true", model("t5xxl.safetensors")))[0] == 409
    assert (await client.ask("POST", "/import?dry_run=true", {"models": [NEW]}))[1]["data"]["created"] == 1
    assert (await client.get("/models/new"))[0] == 404
    assert (await client.data("/health"))["cursor"] == cursor


@pytest.mark.parametrize(
    "extra",
    [
        {"revision": 7},
        {"changed_at": "x"},
        {"is_admin": True},
        {"__proto__": {}},
        {"id": "other"},
        {"current": "2"},
        {"doc": "{}"},
    ],
    ids=str,
)
async def test_fields_that_nobody_may_write_are_refused_by_name(client: Client, extra: dict[str, Any]) -> None:
    for path, body in (("/models/new", NEW), ("/workflows/new", {"name": "n"}), ("/collections/new", {})):
        status, answer = await client.put(path, body | extra)
        assert (status, answer["data"]) == (400, None)
        assert next(iter(extra)) in answer["error"]


@pytest.mark.parametrize(
    "save_to",
    ["../x.pt", "/etc/cron.d/x.pt", "vae/../../b.pt", "vae\\x.pt", "vae/%2e%2e/x.pt", "C:/x.pt", "vae/x\u202e.pt", "vae/CON.pt",
     "vae/x.pt.", "vae/" + "a" * 300 + ".pt", "models/x.pt", ".hidden/x.pt", "vae/ x.pt"],
)  # fmt: skip
async def test_k1_a_place_outside_the_shelves_is_not_written(client: Client, save_to: str) -> None:
    status, body = await client.put("/models/new", NEW | {"saveTo": save_to})
    assert (status, body["data"]) == (422, None)
    assert body["error"].isprintable()
    assert (await client.get("/models/new"))[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [{"authEnvVar": "AWS_SECRET_ACCESS_KEY"}, {"authEnvVar": "HF_TOKEN\n"}, {"downloadUrl": "file:///etc/passwd"},
     {"downloadUrl": "javascript:alert(1)"}, {"name": "a\nb.pt"}, {"name": ""}, {"vramGb": -1}, {"fileSize": 1e400},
     {"dependencies": ["x"] * 10_001}, {"sources": "x"}, {"hashes": {"sha999": "00"}}],
    ids=lambda wrong: str(wrong)[:40],
)  # fmt: skip
async def test_k5_f8_k12_what_is_not_as_documented_is_400(client: Client, wrong: dict[str, Any]) -> None:
    body = {key: value for key, value in (NEW | wrong).items() if value != float("inf")}
    if body == NEW:
        body = NEW | {"fileSize": -5}
    assert (await client.put("/models/new", body))[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [{"hash": "null"}, {"hash": "zz" * 32}, {"hash": "abcdef"}, {"hashes": {"sha256": "ab"}}, {"downloadUrl": None},
     {"downloadUrl": "https://user:pw@h.example/x"}],
    ids=str,
)  # fmt: skip
async def test_f8_what_no_machine_could_use_is_422(client: Client, wrong: dict[str, Any]) -> None:
    status, body = await client.put("/models/new", NEW | wrong)
    assert (status, "pw" in body["error"]) == (422, False)


@pytest.mark.parametrize("token", [None, "", "wrong", "ann-may-writ"])
async def test_a_write_needs_a_writers_token(client: Client, token: str | None) -> None:
    for method, path in (("PUT", "/models/new"), ("POST", "/models"), ("DELETE", "/models/t5"), ("POST", "/import")):
        assert (await client.ask(method, path, NEW, token=token))[0] == 401
    assert (await client.ask("GET", "/audit", token=token))[0] == 401


async def test_without_writers_or_read_only_nobody_writes(tmp_path: Path) -> None:
    async with asking(tmp_path / "a.sqlite", writers={}) as client:
        status, body = await client.put("/models/new", NEW)
        assert (status, "MODEL_MANAGER_CATALOG_TOKENS" in body["error"]) == (403, True)
    async with asking(tmp_path / "a.sqlite", read_only=True) as client:
        assert (await client.put("/models/new", NEW))[0] == 403
        assert (await client.ask("GET", "/audit"))[0] == 200
        assert (await client.data("/health"))["read_only"] is True


async def test_the_trail_says_who_changed_what(each_client: Client) -> None:
    await each_client.put("/models/new", NEW)
    await each_client.ask("PUT", "/models/new", NEW | {"licence": "MIT"}, token="bob-may-write")
    await each_client.ask("DELETE", "/models/new")
    _, body = await each_client.ask("GET", "/audit?kind=model&id=new")
    told = [(each["who"], each["action"], each["revision"]) for each in body["data"]]
    assert told == [("ann", "deleted", 2), ("bob", "replaced", 2), ("ann", "created", 1)]
    assert [each["after"] and each["after"]["licence"] for each in body["data"]] == [None, "MIT", ""]
    assert body["data"][0]["before"]["licence"] == "MIT"


FLOW = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD15/x.safetensors"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


async def test_an_import_takes_a_workflow_as_comfyui_writes_it(each_client: Client) -> None:
    status, answer = await each_client.ask("POST", "/import?name=v1.5%20portrait", FLOW)
    assert (status, answer["data"]["created"]) == (200, 1)
    shown = await each_client.data("/workflows/name/v1.5%20portrait")
    assert shown["models"] == ["SD15/x.safetensors"]


async def test_an_import_of_a_workflow_without_a_name_says_what_is_missing(client: Client) -> None:
    status, answer = await client.ask("POST", "/import", FLOW)
    assert (status, "name=" in answer["error"]) == (400, True)
    assert (await client.ask("POST", "/import?name=a/b", FLOW))[0] == 400


async def test_an_import_by_line_says_what_was_wrong_and_what_was_done(each_client: Client) -> None:
    lines = b"\n".join([
        b'{"kind": "model", "name": "a.pt", "url": "https://huggingface.co/o/r/blob/main/a.pt", "save_to": "vae"}',
        b'{"kind": "workflow", "name": "wa", "models": ["a.pt"]}', b"{", b'{"kind": "spell"}', b"",
    ])  # fmt: skip
    headers = {"Authorization": "Bearer ann-may-write", "Content-Type": "application/x-ndjson"}
    async with each_client.session.post("/import", data=lines, headers=headers) as response:
        report = (await response.json())["data"]
    assert (report["created"], report["left_out"]) == (2, 2)
    assert [each["done"] for each in report["findings"]].count("fixed") == 1
    assert (await each_client.data("/models/a.pt"))["downloadUrl"] == ADDRESS.format("a.pt")


@pytest.mark.parametrize("body", [{}, {"models": 5}, {"data": None}])
async def test_f3_what_holds_no_records_imports_nothing(client: Client, body: object) -> None:
    status, answer = await client.ask("POST", "/import", body)
    assert (status, answer["data"]) == (400, None)
    assert (await client.data("/health"))["models"] == len(RECORDS["models"])


async def test_nothing_that_was_written_shows_another_hash_or_a_token(client: Client) -> None:
    await client.put("/models/new", NEW | {"hash": f"sha256:{SHA256}"})
    async with client.session.get("/export") as response:
        text = await response.text()
    assert "ann-may-write" not in text
    assert text.count(SHA256) == 2


async def test_the_version_that_is_answered_is_renamed_with_its_model(each_client: Client) -> None:
    await each_client.put("/models/m", model("old.pt"))
    status, _ = await each_client.put("/models/m/versions/1", model("new.pt", description="a zebra"))
    assert status == 200
    assert (await each_client.data("/models/name/new.pt"))["id"] == "m"
    assert (await each_client.get("/models/name/old.pt"))[0] == 404
    assert [each["name"] for each in await each_client.data("/models?search=zebra")] == ["new.pt"]


async def test_a_list_is_of_the_version_that_is_answered(each_client: Client) -> None:
    await each_client.put("/models/m", model("m.pt", description="a zebra"))
    await each_client.put(
        "/models/m/versions/2", model("lion.pt", isAuthReq=True, authEnvVar="HF_TOKEN", baseModel="B")
    )
    assert await each_client.data("/models?search=lion") == []
    assert (await each_client.put("/models/m/current", {"version": "2"}))[0] == 200
    for question in ("search=lion", "auth_only=true&name=lion.pt", "base_model=B"):
        assert [each["name"] for each in await each_client.data(f"/models?{question}")] == ["lion.pt"]
    assert await each_client.data("/models?search=zebra") == []
    assert (await each_client.ask("DELETE", "/models/m"))[0] == 200
    assert await each_client.data("/models?search=lion") == []
