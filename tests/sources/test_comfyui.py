from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from model_manager.errors import BadRequest, ComfyUIAway
from model_manager.sources import comfyui as module
from model_manager.sources.comfyui import surveyed_at

INFO = {"OddLoader": {"input": {"required": {"which": [["a.safetensors", "b.safetensors"], {}]}}}}
FOLDERS = {"loras": ["a.safetensors", "b.safetensors"], "my models": ["x.pt"]}


@pytest.fixture
async def comfyui() -> AsyncIterator[tuple[dict[str, Any], str]]:
    """What a ComfyUI answers by path, and its address."""
    answers: dict[str, Any] = {"/object_info": INFO, "/models": list(FOLDERS)}
    answers |= {f"/models/{folder}": files for folder, files in FOLDERS.items()}

    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path, 404)
        if isinstance(found, int):
            return web.Response(status=found)
        return web.Response(body=found) if isinstance(found, bytes) else web.json_response(found)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application) as server:
        yield answers, str(server.make_url(""))


async def test_nodes_and_the_files_of_every_folder_are_asked_for(comfyui: tuple[dict[str, Any], str]) -> None:
    assert await surveyed_at(comfyui[1]) == (INFO, FOLDERS)


@pytest.mark.parametrize("answer", [404, 500, b"<html>", b"[]", b"null"])
async def test_what_is_no_comfyui_is_named(comfyui: tuple[dict[str, Any], str], answer: object) -> None:
    answers, url = comfyui
    answers["/object_info"] = answer
    with pytest.raises(ComfyUIAway, match="/object_info"):
        await surveyed_at(url)


async def test_an_answer_without_end_is_not_kept(
    comfyui: tuple[dict[str, Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    with pytest.raises(ComfyUIAway, match="larger than 20"):
        await surveyed_at(comfyui[1])


async def test_nobody_there_is_said_without_the_secrets_of_the_address() -> None:
    with pytest.raises(ComfyUIAway) as raised:
        await surveyed_at("http://user:secret@127.0.0.1:9")
    assert "127.0.0.1:9" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8188", "file:///etc/passwd", "http://", "http://[::1"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="address of ComfyUI"):
        await surveyed_at(url)
