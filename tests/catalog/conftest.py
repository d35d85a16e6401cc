"""A small dirty catalog, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from model_manager.catalog.run import serve

SHA256 = "a1" * 32

RECORDS: dict[str, Any] = {
    "models": [
        {
            "id": "flux-dev",
            "name": "flux1-dev.safetensors",
            "downloadUrl": "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors",
            "saveTo": "models/unet/flux1-dev.safetensors",
            "fileSize": 23_802_932_552,
            "hash": SHA256,
            "isAuthReq": True,
            "authEnvVar": "HF_TOKEN",
            "description": "FLUX 100% dev",
            "dependencies": ["t5"],
        },
        {
            "id": "t5",
            "name": "t5xxl.safetensors",
            "downloadUrl": "https://example.com/t5xxl.safetensors",
            "saveTo": "text_encoders",
            "fileSize": "9.79GB",
        },
        {
            "name": "SD15/LCM/realism.safetensors",
            "downloadUrl": "https://civitai.com/api/download/models/1",
            "saveTo": "checkpoints/SD15/LCM/realism.safetensors",
            "isAuthReq": True,
            "authEnvVar": "CIVITAI_TOKEN",
        },
        {"name": "look.safetensors", "saveTo": "../loras/look.safetensors"},
    ],
    "workflows": [
        {
            "id": "w1",
            "name": "txt2img",
            "models": ["flux-dev", "nowhere.safetensors"],
            "optional": ["look.safetensors"],
            "custom_nodes": ["node-b", "node-a"],
        },
        {"id": "w2", "name": "lcm", "models": ["SD15/LCM/realism.safetensors"], "custom_nodes": ["node-a"]},
    ],
    "collections": [{"id": "c1", "name": "both", "workflows": ["txt2img", "w2", "gone"]}],
}


class Client:
    """Asks one catalog and hands back (status, JSON)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(path) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self.session.post(path, json=body) as response:
            return response.status, await response.json()

    async def data(self, path: str) -> Any:
        """What the envelope of a good answer holds."""
        status, body = await self.get(path)
        assert status == 200, body
        assert set(body) == {"data", "error"}
        assert body["error"] is None
        return body["data"]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with (
        serve(tmp_path / "catalog.sqlite", records=RECORDS, tokens={"HF_TOKEN"}) as url,
        aiohttp.ClientSession(url) as session,
    ):
        yield Client(session)
