from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful
from tests.fleet.stage import TOKEN
from tests.neighbours.test_stablequeue import DOCUMENTED
from tests.neighbours.writing import STABLEQUEUE, database, insert


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


@pytest.fixture(params=["over HTTP", "from Redis"])
def way(request: pytest.FixtureRequest, fleetful: Fleetful, bare: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both ways must do the same."""
    if request.param == "over HTTP":
        monkeypatch.setenv("MODEL_MANAGER_FLEET_TOKEN", TOKEN)
        return ["--url", fleetful.url]
    monkeypatch.setenv("REDIS_URL", fleetful.redis)
    return []


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = database(tmp_path / "mobilesd_models.sqlite", STABLEQUEUE["33 columns"])
    insert(path, "models", DOCUMENTED, {**DOCUMENTED, "id": 3, "filename": "../x\n.pt"})
    return str(path)


def test_a_database_is_taken_in_and_what_is_wrong_is_said_on_one_line(call: Call, way: list[str], file: str) -> None:
    code, out, err = call("fleet", "import", file, "--dry-run", *way)
    assert code == 0, err
    assert "1 of 2 models were understood" in out
    assert "\\n.pt" in out
    told = json.loads(call("fleet", "import", file, "--json", *way)[1])
    assert (told["models"], told["dry_run"], told["wrongs"]) == (1, False, 1)


def test_what_is_no_database_is_refused(call: Call, way: list[str], tmp_path: Path) -> None:
    other = tmp_path / "x.txt"
    other.write_text("hello " * 10)
    code, _, err = call("fleet", "import", str(other), *way)
    assert code == 65
    assert "StableQueue" in err
