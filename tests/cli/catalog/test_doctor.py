"""`catalog doctor` from the command line, over a hub on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_manager.catalog.doctor.checkups import Checkups
from model_manager.catalog.incoming.loading import load
from model_manager.catalog.run import opened
from tests.catalog.hub import digest, hub
from tests.cli.conftest import Call


@contextmanager
def hub_beside(**files: int) -> Iterator[str]:
    """A hub on a thread of its own: the command has its own loop."""
    host: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with hub(**files) as (_, address):
            host.append(address)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield host[0]
    over.set()
    thread.join(20)


def filled(database: Path, host: str) -> None:
    url = f"http://{host}/o/r/resolve/main/a.pt"
    asyncio.run(load(database, {"models": [{"name": "a.pt", "downloadUrl": url, "saveTo": "vae", "fileSize": "2GB"}]}))


async def kept(database: Path) -> tuple[str, int, int]:
    """Of the report that GET /doctor would show: how it ended, records that were wrong, that were mended."""
    async with opened(database) as store:
        shown = (await Checkups(store.database, store.now).report()).shown
        assert shown is not None
        return shown.state, shown.wrong, shown.mended


def test_it_shows_first_and_writes_only_when_asked(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_beside(a__pt=7_000_000_000) as host:
        monkeypatch.setenv("MODEL_MANAGER_ALLOW_HOSTS", host)
        monkeypatch.setenv("MODEL_MANAGER_HF_HOSTS", host)
        filled(tmp_path / "catalog.sqlite", host)
        for _ in range(2):
            code, out, err = call("catalog", "doctor")
            assert code == 1
            assert "size          a.pt: its size is 2GB, but 7000000000 bytes are offered -> the size 7000000000" in out
            assert f"-> the hash sha256:{digest('a.pt')}" in out
            assert "Nothing was written" in err
        assert call("catalog", "doctor", "--fix", "--yes")[0] == 0
        assert asyncio.run(kept(tmp_path / "catalog.sqlite")) == ("done", 1, 1)
        assert call("catalog", "doctor")[:2] == (0, "")
        assert asyncio.run(kept(tmp_path / "catalog.sqlite")) == ("done", 0, 0)


def test_folders_are_held_against_workflows_without_asking_anybody(call: Call, tmp_path: Path) -> None:
    filled(tmp_path / "catalog.sqlite", "192.0.2.1")
    flow = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.pt"}}}
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "w.json").write_text(json.dumps(flow))
    (flows / "other.json").write_text("{}")
    code, out, err = call("catalog", "doctor", "--no-visit", "--workflow", str(flows), "--json")
    assert (code, json.loads(out)["ailments"][0]["kind"]) == (1, "folder")
    assert "passed over" in err
    assert call("catalog", "doctor", "--no-visit", "--workflow", str(flows / "other.json"))[0] == 65
