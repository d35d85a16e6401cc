from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.incoming.loading import load
from model_manager.cli.check import Finding
from tests.cli.conftest import Call
from tests.decisions.workflows.drawing import node, ui
from tests.stories.machine import record, workflow

PLAIN = record("a.safetensors", "https://origin.test/a", "models/vae", b"weights")
GATED = record("g.safetensors", "https://huggingface.co/o/r/resolve/main/g", "models/vae", b"gated") | {
    "isAuthReq": True,
    "authEnvVar": "HF_TOKEN",
}
PICKLE = record("p.ckpt", "https://origin.test/p", "models/checkpoints")
HUGE = record("h.safetensors", "https://origin.test/h", "models/vae") | {"fileSize": 10**15}
NEAR = record("n.safetensors", "http://127.0.0.1:9/n", "models/vae", b"near")
WORKFLOWS = {"plain": PLAIN, "gated": GATED, "pickle": PICKLE, "huge": HUGE, "near": NEAR}


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: None) -> None:
    """A machine with a store and a built-in catalog of one workflow for each kind of model."""
    monkeypatch.setenv("MODEL_MANAGER_STORE", str(tmp_path / "models"))
    monkeypatch.setenv("MODEL_MANAGER_DISK_FLOOR", "0")
    records: dict[str, Any] = {
        "models": list(WORKFLOWS.values()),
        "workflows": [workflow(name, str(each["name"])) for name, each in WORKFLOWS.items()],
    }
    asyncio.run(load(tmp_path / "catalog.sqlite", records))


@pytest.fixture
def check(call: Call, monkeypatch: pytest.MonkeyPatch):
    """`model-manager check --json` in an environment → exit code, findings."""

    def checking(*options: str, **environ: str) -> tuple[int, list[Finding]]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        code, out, _ = call("check", "--json", *options)
        return code, [Finding(**each) for each in json.loads(out)]

    return checking


def of(word: str, findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.says for finding in findings if finding.word == word}


def test_a_machine_that_will_get_ready_passes(check) -> None:
    code, findings = check(WORKFLOW_IDS="plain")
    assert (code, of("problem", findings)) == (0, {})
    assert of("ok", findings).keys() == {"settings", "directories", "redis", "catalog", "assignment", "disk"}
    assert of("ok", findings)["assignment"] == "1 workflows need 1 models"


def test_a_person_sees_one_line_for_each(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_IDS", "plain,none\x1b")
    code, out, err = call("check")
    assert (code, err) == (78, "1 problem\n")
    assert any(line.startswith("problem ") and "none" in line for line in out.splitlines())
    assert "\x1b" not in out


def test_every_wrong_setting_is_told_at_once(check) -> None:
    code, findings = check(MODEL_DOWNLOAD_CONCURRENCY="0", MACHINE_ID="a:b", MODEL_MANAGER_STOER="/x")
    assert code == 78
    assert of("problem", findings).keys() >= {"MODEL_DOWNLOAD_CONCURRENCY", "MODEL_MANAGER_STOER"}


def test_g4_a_store_that_cannot_be_one_is_a_problem_among_others(check) -> None:
    code, findings = check(MODEL_MANAGER_STORE="/no/such/place", WORKFLOW_IDS="none")
    assert code == 78
    assert of("problem", findings).keys() == {"MODEL_MANAGER_STORE", "none"}


def test_f1_a_catalog_that_does_not_answer_is_a_problem(check) -> None:
    code, findings = check(EMPROPS_API_BASE_URL="http://127.0.0.1:1", WORKFLOW_IDS="plain")
    assert code == 78
    assert "plain" in of("problem", findings)
    assert "catalog" not in of("ok", findings)


def test_a_catalog_that_nobody_named_or_filled_is_a_problem(check, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").unlink()
    code, findings = check(WORKFLOW_IDS="plain")
    assert code == 78
    assert "catalog import" in of("problem", findings)["catalog"]
    assert not (tmp_path / "catalog.sqlite").exists()


def test_e7_a_redis_that_is_away_is_a_problem_without_its_password(check) -> None:
    code, findings = check(REDIS_URL="redis://:CANARY@127.0.0.1:1/0", WORKFLOW_IDS="plain")
    assert code == 78
    assert "CANARY" not in of("problem", findings)["REDIS_URL"]


def test_g2_a_token_that_is_missing_is_worth_a_look(check) -> None:
    code, findings = check(WORKFLOW_IDS="gated")
    assert code == 0
    assert "g.safetensors" in of("note", findings)["HF_TOKEN"]
    assert "HF_TOKEN" in of("ok", check(HF_TOKEN="hf_x")[1])


def test_what_will_never_be_fetched_is_a_problem(check) -> None:
    code, findings = check(WORKFLOW_IDS="pickle")
    assert code == 78
    assert "MODEL_MANAGER_ALLOW_PICKLE" in of("problem", findings)["checkpoints/p.ckpt"]
    assert check(MODEL_MANAGER_ALLOW_PICKLE="true")[0] == 0


def test_k13_a_disk_that_is_too_small_is_a_problem(check) -> None:
    code, findings = check(WORKFLOW_IDS="huge")
    assert code == 78
    assert "1000.0 TB to download" in of("problem", findings)["disk"]


def test_a_store_that_an_installer_wipes_is_worth_a_look(check, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    code, findings = check(COMFYUI_BASE_PATH=str(tmp_path), WORKFLOW_IDS="plain")
    assert code == 0
    assert "installer may delete" in of("note", findings)["store"]


def test_an_assignment_of_nothing_is_worth_a_look(check) -> None:
    code, findings = check()
    assert code == 0
    assert "assignment" in of("note", findings)


def test_a_bad_list_of_further_paths_is_a_problem(check, tmp_path: Path) -> None:
    file = tmp_path / "extra.yaml"
    file.write_text("- a list\n")
    assert check(MODEL_MANAGER_EXTRA_MODEL_PATHS=str(file))[0] == 78
    (tmp_path / "shared").mkdir()
    file.write_text(f"x:\n  base_path: {tmp_path}\n  vae: shared\n")
    code, findings = check()
    assert code == 0
    assert str(tmp_path / "shared") in of("ok", findings)["directories"]


def test_k4_an_origin_is_asked_only_when_we_are_told_to(check) -> None:
    assert check(WORKFLOW_IDS="near")[0] == 0
    code, findings = check("--ask-origins")
    assert code == 78
    assert "127.0.0.1" in of("problem", findings)["vae/n.safetensors"]


def test_workflow_files_are_read_and_each_that_would_never_get_ready_is_named(check, tmp_path: Path) -> None:
    good, bad, away = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "away.json"
    good.write_text(json.dumps(ui(node(1, "VAELoader", "x.safetensors"))))
    bad.write_text("{")
    code, findings = check(WORKFLOW_FILES=f"{good},{bad},{away}")
    assert code == 78
    assert of("problem", findings).keys() == {str(bad), str(away)}
    assert of("ok", findings)[str(good)].startswith("names 1 model;")


def test_a_workflow_in_which_models_may_hide_is_a_problem(check, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "odd.json").write_text(
        json.dumps({"nodes": [node(1, "VAELoader", "x.safetensors"), "no node"], "links": []})
    )
    code, findings = check(MODEL_MANAGER_WORKFLOW_DIR=str(flows))
    assert (code, list(of("problem", findings))) == (78, [str(flows / "odd.json")])
    assert "assignment" not in of("note", findings)
