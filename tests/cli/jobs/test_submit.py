from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet


def test_a_job_is_handed_in_with_all_that_it_asks(fleet: Fleet, call: Call, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"\xffraw")
    code, out, _ = call(
        "jobs", "submit", "1", "--service", "comfyui", "--model", "a.pt", "--gpu-memory", "16", "--priority", "-3",
        "--payload-file", str(tmp_path / "p"), "--customer", "c", "--requirement", '{"asset_type": "image"}', "--attempts", "9",
    )  # fmt: skip
    assert (code, out) == (0, "1 is queued\n")
    found = fleet.ask(lambda claims: claims.job("1"))
    assert (found.priority, found.customer, found.max_attempts, found.payload) == (-3, "c", 9, "\ufffdraw")
    assert found.asks["models"] == ["a.pt"]


def test_what_nobody_can_take_yet_is_said(fleet: Fleet, call: Call) -> None:
    code, out, err = call("jobs", "submit", "1", "--service", "comfyui", "--model", "nobody.pt")
    assert (code, out) == (0, "1 is queued\n")
    assert "nobody has nobody.pt" in err


def test_the_same_job_again_is_said_to_be_known(fleet: Fleet, call: Call) -> None:
    for word in ("is queued", "was there already"):
        assert call("jobs", "submit", "1", "--model", "a.pt")[1] == f"1 {word}\n"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_rejected_job_leaves_with_75(fleet: Fleet, call: Call, as_json: list[str]) -> None:
    code, out, err = call("jobs", "submit", "1", "--model", "nobody.pt", "--policy", "reject", *as_json)
    assert code == 75
    assert "nobody.pt" in (out if as_json else err)


def test_json_says_where_the_models_are(fleet: Fleet, call: Call) -> None:
    code, out, _ = call("jobs", "submit", "--model", "a.pt", "--payload", "x", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["word"], answer["eligible"]) == ("queued", 1)
    assert answer["models"] == [{"model": "a.pt", "machines": 1, "without": None}]
    assert len(answer["id"]) == 36


@pytest.mark.parametrize("given", ["{", "[]", "@nowhere", '{"a": 1, "a": 2}'])
def test_a_requirement_that_is_no_object_is_refused(fleet: Fleet, call: Call, given: str) -> None:
    code, _, err = call("jobs", "submit", "--requirement", given)
    assert code == 65
    assert "--requirement" in err


def test_a_requirement_may_come_from_a_file(fleet: Fleet, call: Call, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"service_type": "comfyui", "models": "a.pt"}')
    assert call("jobs", "submit", "1", "--requirement", f"@{tmp_path / 'r.json'}")[0] == 0
    assert fleet.ask(lambda claims: claims.job("1")).eligible == 1


def test_k10_what_routing_cannot_read_is_refused_with_its_reason(fleet: Fleet, call: Call) -> None:
    code, _, err = call("jobs", "submit", "--requirement", '{"models": 7}')
    assert code == 65
    assert "docs/routing.md" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [["--gpu-memory", "nan"], ["--storage", "inf"], ["--model", "\udcff.pt"]])
def test_k10_an_option_that_json_cannot_say_is_refused_and_no_job_for_anybody(
    fleet: Fleet, call: Call, option: list[str]
) -> None:
    code, _, err = call("jobs", "submit", "1", *option)
    assert (code, "job '1'" in err) == (65, True)
    assert call("jobs", "list", "1")[0] == 65


def test_an_empty_id_is_no_id_and_makes_no_new_job(fleet: Fleet, call: Call) -> None:
    assert call("jobs", "submit", "", "--model", "a.pt")[0] == 65


def test_without_redis_there_is_nowhere_to_hand_it_in(call: Call) -> None:
    code, _, err = call("jobs", "submit", "--model", "a.pt")
    assert code == 78
    assert "REDIS_URL" in err


def test_e1_a_redis_that_is_away_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:CANARY@127.0.0.1:1/0")
    monkeypatch.setattr("model_manager.cli.jobs.desk.PATIENCE", 0)
    code, _, err = call("jobs", "submit", "--model", "a.pt")
    assert code == 75
    assert "CANARY" not in err
