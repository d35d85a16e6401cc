from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


@pytest.fixture(params=["over HTTP", "from Redis"])
def way(request: pytest.FixtureRequest, fleetful: Fleetful, bare: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both ways must say the same."""
    if request.param == "over HTTP":
        return ["--url", fleetful.url]
    monkeypatch.setenv("REDIS_URL", fleetful.redis)
    return []


def test_who_has_a_model(call: Call, way: list[str]) -> None:
    code, out, _ = call("fleet", "who-has", "a.safetensors", *way)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["m1", "live"], ["m2", "live"]]
    code, out, _ = call("fleet", "who-has", "AB" * 32, "--json", *way)
    assert [each["machine_id"] for each in json.loads(out)["items"]] == ["m1", "m2"]


def test_nobody_is_an_answer_too(call: Call, way: list[str]) -> None:
    code, out, _ = call("fleet", "who-has", "unheard\x1b[2J", *way)
    assert (code, out) == (0, "nobody has unheard\\x1b[2J\n")


def test_who_can_run_a_workflow(call: Call, way: list[str]) -> None:
    _, out, _ = call("fleet", "who-can", "flux", *way)
    lines = out.splitlines()
    assert lines[0] == "1 ready for flux"
    assert [line.split()[:3] for line in lines[2:4]] == [["m1", "live", "yes"], ["m2", "live", "no"]]
    assert "EMPROPS_API_BASE_URL" in out


def test_what_is_missing_where(call: Call, way: list[str]) -> None:
    _, out, _ = call("fleet", "missing", *way)
    assert "vae/x.safetensors is missing" in out
    _, out, _ = call("fleet", "missing", "--machine", "m1", *way)
    assert out == "every machine has what it was told to serve\n"


def test_machines(call: Call, way: list[str]) -> None:
    _, out, _ = call("fleet", "machines", *way)
    assert [line.split()[0] for line in out.splitlines()] == ["machine", "m2", "m1"]
    _, out, _ = call("fleet", "machines", "--state", "away", "--json", *way)
    assert json.loads(out)["items"] == []


def test_a_refusal_is_a_message_and_a_code(call: Call, way: list[str]) -> None:
    code, _, err = call("fleet", "missing", "--machine", "m:1", *way)
    assert code == 65
    assert "'machine_id' does not look like" in err


def test_an_aggregator_that_is_away_says_what_to_start(call: Call) -> None:
    code, _, err = call("fleet", "machines", "--url", "http://127.0.0.1:1")
    assert code == 75
    assert "model-manager fleet serve" in err
    code, _, err = call("fleet", "machines", "--url", "ftp://x")
    assert code == 78


def test_without_a_redis_it_says_what_to_set(call: Call) -> None:
    code, _, err = call("fleet", "machines")
    assert code == 78
    assert "REDIS_URL" in err


def test_serve_says_where_and_ends_with_a_signal(fleetful: Fleetful, tmp_path: Path) -> None:
    env = {**os.environ, "REDIS_URL": fleetful.redis, "MODEL_MANAGER_FLEET_PORT": "0", "MODEL_MANAGER_STATE_DIR": str(tmp_path)}  # fmt: skip
    command = [sys.executable, "-c", "from model_manager.cli.main import main; main(['fleet', 'serve'])"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = next(line for line in process.stderr if line.startswith("fleet at "))
        assert line.startswith("fleet at http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
