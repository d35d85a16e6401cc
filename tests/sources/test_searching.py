from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from model_manager.errors import NotAuthorized, OriginUnavailable, StrangeAnswer
from model_manager.sources import searching
from model_manager.sources.searching import CivitaiSearch, HubSearch, searches
from tests.sources.serving import served

SHA = "a" * 64
REPO = {"id": "me/flux", "gated": "auto", "siblings": [{"rfilename": "README.md"}, {"rfilename": "sub/X.safetensors"}]}
INFO = [{"path": "sub/X.safetensors", "size": 77, "lfs": {"oid": SHA, "size": 77}}]
MODEL = {
    "name": "Pixel Art", "modelVersions": [
        {"name": "v1", "files": [
            {"name": "x.safetensors", "downloadUrl": "https://civitai.com/api/download/models/5?token=s", "hashes": {"SHA256": SHA.upper()}},
            {"name": "other.safetensors", "downloadUrl": "https://civitai.com/api/download/models/6"},
            {"name": "x.safetensors", "downloadUrl": "file:///etc/passwd"},
            "no file",
        ]}, "no version",
    ],
}  # fmt: skip

Answers = dict[str, Any]


async def asked(
    answers: Answers | Callable[[web.Request], Any], kind: str, name: str = "x.safetensors", *queries: str
) -> Any:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(f"{request.method} {request.path_qs} {request.headers.get('Authorization', '')}".strip())
        answer = answers(request) if callable(answers) else answers.get(request.path)
        if isinstance(answer, web.Response):
            return answer
        return web.json_response(answer) if answer is not None else web.Response(status=404)

    async with served(handler) as host:
        base = f"http://{host}"
        async with searches(
            base, base, hub_token=SecretStr("t"), civitai_token=SecretStr("t"), per_second=1000
        ) as both:
            search: HubSearch | CivitaiSearch = both[0] if kind == "hub" else both[1]
            found = await search.finds(name, queries or ("x",))
    return found, seen, base


async def test_the_hub_is_asked_for_repositories_and_then_for_their_files() -> None:
    answers = {"/api/models": [REPO, {"id": "a/b", "siblings": []}], "/api/models/me/flux/paths-info/main": INFO}
    (find,), seen, base = await asked(answers, "hub")
    assert find.url == f"{base}/me/flux/resolve/main/sub/X.safetensors"
    assert (find.title, find.size, find.gated, str(find.pin)) == ("me/flux", 77, True, f"sha256:{SHA}")
    assert [line.split()[0] for line in seen] == ["GET", "POST"]


async def test_k5_no_token_goes_over_plain_http() -> None:
    answers = {"/api/models": [REPO], "/api/models/me/flux/paths-info/main": INFO}
    _, seen, _ = await asked(answers, "hub")
    assert not [line for line in seen if "Bearer" in line]


async def test_a_file_of_which_the_hub_says_nothing_more_is_still_found() -> None:
    (find,), _, _ = await asked({"/api/models": [REPO]}, "hub")
    assert (find.size, find.pin) == (None, None)


async def test_the_next_words_are_asked_for_only_while_nothing_was_found() -> None:
    def answers(request: web.Request) -> Any:
        return [REPO] if request.query.get("search") == "two" else [] if request.path == "/api/models" else INFO

    found, seen, _ = await asked(answers, "hub", "x.safetensors", "one", "two", "three")
    assert len(found) == 1
    assert len([line for line in seen if line.startswith("GET")]) == 2


async def test_civitai_is_asked_for_models_and_their_files_are_looked_through() -> None:
    (find,), _, _ = await asked({"/api/v1/models": {"items": [MODEL, "no model", {}]}}, "civitai")
    assert find.url == "https://civitai.com/api/download/models/5"
    assert (find.title, str(find.pin)) == ("Pixel Art v1", f"sha256:{SHA}")


@pytest.mark.parametrize("kind", ["hub", "civitai"])
async def test_who_knows_nothing_finds_nothing(kind: str) -> None:
    assert (await asked({}, kind))[0] == ()


@pytest.mark.parametrize("kind", ["hub", "civitai"])
@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({"error": "no"}, StrangeAnswer),
        (web.Response(status=302, headers={"Location": "http://10.0.0.1/"}), StrangeAnswer),
        (web.Response(text="<html>"), StrangeAnswer),
        (web.Response(status=401), NotAuthorized),
        (web.Response(status=503), OriginUnavailable),
        (web.Response(status=429, headers={"Retry-After": "60"}), OriginUnavailable),
    ],
)
async def test_f3_an_answer_that_is_none_is_a_typed_failure(kind: str, answer: Any, failure: type[Exception]) -> None:
    made = (
        web.Response(status=answer.status, headers=answer.headers, text=answer.text)
        if isinstance(answer, web.Response)
        else answer
    )
    with pytest.raises(failure):
        await asked(lambda _: made, kind)


async def test_b11_who_wants_quiet_is_not_asked_again() -> None:
    calls = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response(status=429, headers={"Retry-After": "60"})

    async with served(handler) as host, searches(f"http://{host}", f"http://{host}", per_second=1000) as (hub, _):
        for _attempt in range(2):
            with pytest.raises(OriginUnavailable) as raised:
                await hub.finds("x.pt", ("x",))
            assert raised.value.retry_after is not None
    assert len(calls) == 1


async def test_f5_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MAX_ANSWER", 1000)
    with pytest.raises(StrangeAnswer, match="larger"):
        await asked({"/api/models": ["x" * 5000]}, "hub")


async def test_a_service_that_is_not_there_is_a_typed_failure() -> None:
    async with searches("http://127.0.0.1:1", "http://127.0.0.1:1", per_second=1000) as (_, civitai):
        with pytest.raises(OriginUnavailable):
            await civitai.finds("x.pt", ("x",))
