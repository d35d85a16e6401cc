from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from model_manager.catalog.run import serve
from model_manager.cli import catalog as module
from model_manager.facts.model import Model
from model_manager.sources.catalog import catalog_at
from tests.cli.conftest import Call
from tests.stories.machine import record, workflow

RECORDS = {
    "models": [record("a.safetensors", "https://origin.test/a", "models/vae", b"weights")],
    "workflows": [workflow("w", "a.safetensors")],
}


def written(tmp_path: Path, content: object) -> str:
    file = tmp_path / "records.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


async def asked(database: Path, name: str) -> object:
    async with serve(database) as url, catalog_at(url, None) as catalog:
        return (await catalog.models([name]))[name]


def test_records_are_loaded_into_the_catalog_of_the_state_directory(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("catalog", "import", written(tmp_path, RECORDS))
    assert code == 0
    assert out == f"1 models, 1 workflows, 0 collections loaded into {tmp_path}/catalog.sqlite\n"
    found = asyncio.run(asked(tmp_path / "catalog.sqlite", "a.safetensors"))
    assert isinstance(found, Model)
    assert str(found.path) == "vae/a.safetensors"


def test_replace_forgets_what_was_there(call: Call, tmp_path: Path) -> None:
    database = tmp_path / "other" / "c.sqlite"
    for options in ((), ("--replace",)):
        file = written(tmp_path, {"workflows": [workflow("v")]} if options else RECORDS)
        assert call("catalog", "import", file, "--database", str(database), *options)[0] == 0
    assert not isinstance(asyncio.run(asked(database, "a.safetensors")), Model)


@pytest.mark.parametrize("content", ["{", "[]", '{"models": [{"name": 3}]}', '{"models": "none"}'])
def test_f3_a_file_that_holds_no_records_loads_nothing(call: Call, tmp_path: Path, content: str) -> None:
    code, out, err = call("catalog", "import", written(tmp_path, content))
    assert (code, out) == (65, "")
    assert err.startswith("model-manager: ")


def test_a_file_that_is_not_there_is_named(call: Call) -> None:
    code, _, err = call("catalog", "import", "/no/such/file.json")
    assert code == 2
    assert "/no/such/file.json" in err


def test_serving_names_its_address(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[object] = []

    async def run(database: Path, host: str, port: int, *, started) -> None:
        served.extend((database, host, port))
        started("http://127.0.0.1:8484")

    monkeypatch.setattr(module, "run", run)
    code, _, err = call("catalog", "serve", "--port", "0")
    assert (code, err) == (0, "catalog at http://127.0.0.1:8484\n")
    assert served == [tmp_path / "catalog.sqlite", "127.0.0.1", 0]
