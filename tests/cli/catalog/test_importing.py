from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from model_manager.catalog.incoming.findings import Report
from model_manager.catalog.run import serve
from model_manager.cli.catalog.importing import lines
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
    assert out == "2 created, 0 replaced, 0 as they were, 0 left out\n"
    found = asyncio.run(asked(tmp_path / "catalog.sqlite", "a.safetensors"))
    assert isinstance(found, Model)
    assert str(found.path) == "vae/a.safetensors"


def test_replace_forgets_what_was_there(call: Call, tmp_path: Path) -> None:
    database = tmp_path / "other" / "c.sqlite"
    for options in ((), ("--replace",)):
        file = written(tmp_path, {"workflows": [workflow("v")]} if options else RECORDS)
        assert call("catalog", "import", file, "--database", str(database), *options)[0] == 0
    assert not isinstance(asyncio.run(asked(database, "a.safetensors")), Model)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(call: Call, tmp_path: Path) -> None:
    _, out, _ = call("catalog", "import", "--dry-run", written(tmp_path, RECORDS))
    assert out.endswith("(dry run: nothing was written)\n")
    assert not isinstance(asyncio.run(asked(tmp_path / "catalog.sqlite", "a.safetensors")), Model)


def test_what_was_wrong_is_said_line_by_line_or_as_json(call: Call, tmp_path: Path) -> None:
    dirty = {"models": [{**RECORDS["models"][0], "hash": "zz"}, {"name": "../x"}]}
    _, out, _ = call("catalog", "import", written(tmp_path, dirty))
    assert "dropped   a.safetensors: 'zz' is no hash" in out
    assert "1 created, 0 replaced, 0 as they were, 1 left out" in out
    _, out, _ = call("catalog", "import", "--json", written(tmp_path, dirty))
    report = json.loads(out)
    assert (report["unchanged"], report["left_out"], len(report["findings"])) == (1, 1, 2)


@pytest.mark.parametrize("content", ["{", "[]", '{"models": [{"name": 3}]}', '{"models": "none"}'])
def test_f3_a_file_that_holds_no_records_loads_nothing(call: Call, tmp_path: Path, content: str) -> None:
    code, _, err = call("catalog", "import", written(tmp_path, content))
    assert code == 65
    assert err.startswith("model-manager: ")


def test_a_file_that_is_not_there_is_named(call: Call) -> None:
    code, _, err = call("catalog", "import", "/no/such/file.json")
    assert code == 2
    assert "/no/such/file.json" in err


def test_findings_that_are_not_shown_are_counted() -> None:
    report = Report(dry_run=False, created=0, replaced=0, unchanged=0, left_out=9, findings_total=9, findings=())
    assert lines(report)[0] == "  and 9 more findings"
