from __future__ import annotations

from pathlib import Path

import pytest

from model_manager import settings as configuration
from model_manager.agent.assignment.wanting import read_assignment
from model_manager.cli import run as module
from model_manager.cli.run import is_unconfigured, sample_environment
from tests.cli.conftest import Call


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PATH": "/bin", "name": "model-manager", "status": "online"},
        {"HF_TOKEN": "hf_x", "CIVITAI_TOKEN_FILE": "/t", "MODEL_MANAGER_LOG_LEVEL": "DEBUG"},
        {"MODEL_MANAGER_STATE_DIR": "/state"},
        {"WORKFLOW_IDS": " "},
    ],
)
def test_who_says_nothing_sees_the_sample(environ: dict[str, str]) -> None:
    assert is_unconfigured(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"WORKFLOW_IDS": "flux"},
        {"MODEL_PATH": "/models"},
        {"REDIS_URL": "redis://h"},
        {"REDIS_URL_FILE": "/run/redis"},
        {"EMPROPS_API_KEY_FILE": "/run/key"},
        {"MODEL_MANAGER_SETTINGS": "/etc/mm.toml"},
        {"MACHINE_ID": "gpu-7"},
    ],
)
def test_who_says_anything_of_weight_gets_no_sample(environ: dict[str, str]) -> None:
    assert not is_unconfigured(environ)


def test_the_sample_lives_in_one_directory(tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_MANAGER_STATE_DIR", raising=False)
    environ = sample_environment(tmp_path)
    settings = configuration.load(environ)
    assert settings.state == tmp_path / ".model_manager"
    assert settings.own_root.path == str(tmp_path / ".model_manager" / "models")
    assert settings.machine_id == "sample"
    assert settings.assignment.empty


def test_the_samples_assignment_is_a_file_that_stays_as_it_was_edited(tmp_path: Path) -> None:
    file = tmp_path / "assignment.json"
    module._offer_assignment(file)
    assert not read_assignment(file).empty
    file.write_text('{"workflows": ["mine"]}')
    module._offer_assignment(file)
    assert read_assignment(file).workflows == ("mine",)


def test_j5_a_wrong_configuration_ends_it_before_anything_is_made(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DOWNLOAD_CONCURRENCY", "0")
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "models"))
    code, out, err = call("run")
    assert (code, out) == (78, "")
    assert "MODEL_DOWNLOAD_CONCURRENCY" in err
    assert list(tmp_path.iterdir()) == []
