from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model_manager import settings as configuration
from model_manager.settings import SECRETS, load, names
from tests.settings.environments import CANARY, MINIMAL, NAMES, refused, value_of

ALIASED = [(field, *choices[:2]) for field, choices in NAMES.items() if len(choices) > 1] + [
    ("catalog_url", "EMPROPS_API_BASE_URL", "EMP_API_URL")
]


def secret_file(directory: Path, content: str = CANARY, mode: int = 0o600) -> Path:
    file = directory / "token"
    file.write_text(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(("field", "first", "second"), ALIASED)
def test_two_names_of_one_thing_may_agree_and_must_not_differ(field, first, second):
    one, two = value_of(field)
    assert getattr(load({**MINIMAL, first: one, second: one}), field) == getattr(load({**MINIMAL, first: one}), field)
    said = refused({**MINIMAL, first: one, second: two})
    assert first in said
    assert second in said
    assert "secret" not in said


@pytest.mark.parametrize(("field", "first", "second"), ALIASED)
def test_a_blank_alias_is_as_if_it_were_not_there(field, first, second):
    one = value_of(field)[0]
    assert getattr(load({**MINIMAL, first: "  ", second: one}), field) == getattr(load({**MINIMAL, second: one}), field)


def test_every_problem_is_said_at_once():
    environ = {
        "MODEL_DOWNLOAD_CONCURRENCY": "0",
        "MODEL_DOWNLOAD_TIMEOUT_MINUTES": "-1",
        "MACHINE_ID": "a:b",
        "MODEL_MANAGER_STROE": "/x",
    }
    said = refused(environ)
    assert all(name in said for name in environ)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("MODEL_MANAGER_STROE", "MODEL_MANAGER_STORE"), ("MODEL_DOWNLOAD_CONCURENCY", "MODEL_DOWNLOAD_CONCURRENCY")],
)
def test_a_mistyped_name_of_ours_is_refused_with_the_nearest(typo, meant):
    assert f"Did you mean {meant}?" in refused({**MINIMAL, typo: "x"})


def test_names_of_others_are_not_ours_to_judge():
    assert load({**MINIMAL, "MODELS": "x", "HF_ENDPOINT": "/x", "REDIS_HOST": "h"}) == load(MINIMAL)


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file_of_its_owner(tmp_path, name):
    secret = "redis://:hunter2@h:1" if name.endswith("REDIS_URL") else CANARY
    settings = load({**MINIMAL, f"{name}_FILE": str(secret_file(tmp_path, f"  {secret}\n"))})
    assert getattr(settings, names()[name]).get_secret_value() == secret


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (CANARY, 0o644, "0644"),
        (CANARY, 0o640, "0640"),
        (CANARY, 0o604, "0604"),
        ("", 0o600, "exactly one token"),
        ("  \n", 0o600, "exactly one token"),
        (f"{CANARY}\nsecond", 0o600, "exactly one token"),
        (f"{CANARY} two", 0o600, "exactly one token"),
    ],
)
def test_g2_a_token_file_that_others_can_read_or_that_holds_no_token_is_refused(tmp_path, content, mode, why):
    file = secret_file(tmp_path, content, mode)
    said = refused({**MINIMAL, "HF_TOKEN_FILE": str(file)})
    assert all(part in said for part in ("HF_TOKEN_FILE", str(file), why, "chmod 600"))
    assert "CANARY" not in said


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff\xfe")]
)
def test_g2_a_token_file_that_is_none_is_named(tmp_path, make):
    path = tmp_path / "token"
    make(path)
    if path.exists():
        path.chmod(0o700 if path.is_dir() else 0o600)
    said = refused({**MINIMAL, "CIVITAI_TOKEN_FILE": str(path)})
    assert "CIVITAI_TOKEN_FILE" in said
    assert str(path) in said


def test_a_token_and_a_file_that_differ_are_refused_without_showing_either(tmp_path):
    file = secret_file(tmp_path)
    assert load({**MINIMAL, "HF_TOKEN": CANARY, "HF_TOKEN_FILE": str(file)}).hf_token
    said = refused({**MINIMAL, "HF_TOKEN": "hf_other", "HF_TOKEN_FILE": str(file)})
    assert "HF_TOKEN" in said
    assert "CANARY" not in said
    assert "hf_other" not in said


def test_two_spellings_of_a_token_that_differ_are_refused_across_files_too(tmp_path):
    said = refused({**MINIMAL, "CIVITAI_API_KEY": "other", "CIVITAI_TOKEN_FILE": str(secret_file(tmp_path))})
    assert "CIVITAI_TOKEN and CIVITAI_API_KEY" in said or "CIVITAI_API_KEY and CIVITAI_TOKEN" in said
    assert "CANARY" not in said


@pytest.mark.parametrize("name", SECRETS)
def test_g2_a_token_in_the_environment_is_trimmed(name):
    secret = "redis://h:1" if name.endswith("REDIS_URL") else CANARY
    settings = load({**MINIMAL, name: f" {secret}\n"})
    assert getattr(settings, names()[name]).get_secret_value() == secret


def written(directory: Path, content: str) -> dict[str, str]:
    file = directory / "settings.toml"
    file.write_text(content)
    return {**MINIMAL, "MODEL_MANAGER_SETTINGS": str(file)}


def test_a_file_says_what_the_environment_does_not(tmp_path):
    environ = written(tmp_path, 'WORKFLOW_IDS = ["a", "b", "a"]\nMODEL_DOWNLOAD_CONCURRENCY = 5\nCOLLECTIONS = "x,y"\n')
    settings = load(environ)
    assert (settings.workflow_ids, settings.concurrency, settings.collection_ids) == (("a", "b"), 5, ("x", "y"))


def test_the_environment_wins_over_the_file_under_any_alias(tmp_path):
    environ = written(tmp_path, 'MODEL_DOWNLOAD_CONCURRENCY = 5\nEMP_API_URL = "https://file.example"\n')
    settings = load({**environ, "MODEL_DOWNLOAD_CONCURRENCY": "6", "EMPROPS_API_BASE_URL": "https://env.example"})
    assert (settings.concurrency, settings.catalog_url) == (6, "https://env.example")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("WORKFLOW_IDS = [", "cannot be read"),
        ("\x00", "cannot be read"),
        ("WORKFLOW_ID = 'a'", "Did you mean WORKFLOW_IDS?"),
        ("[machine]\nid = 1", "no such setting"),
        ("MODEL_DOWNLOAD_CONCURRENCY = 0", "MODEL_DOWNLOAD_CONCURRENCY"),
        ("MODEL_DOWNLOAD_CONCURRENCY = []", "MODEL_DOWNLOAD_CONCURRENCY"),
        ("WORKFLOW_IDS = 7", "WORKFLOW_IDS"),
        ("WORKFLOW_IDS = {a = 1}", "WORKFLOW_IDS"),
        ("WORKFLOW_IDS = [['a']]", "WORKFLOW_IDS"),
        ("WORKFLOW_IDS = true", "WORKFLOW_IDS"),
    ],
)
def test_g3_a_bad_file_is_refused_with_the_reason(tmp_path, content, why):
    assert why in refused(written(tmp_path, content))


def test_g3_a_file_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "none.toml") in refused({**MINIMAL, "MODEL_MANAGER_SETTINGS": str(tmp_path / "none.toml")})


def test_importing_reads_nothing():
    """Settings are loaded when somebody asks, not when a module is imported."""
    code = "import model_manager.settings"
    result = subprocess.run([sys.executable, "-c", code], env={"MODEL_DOWNLOAD_CONCURRENCY": "0"}, check=False)
    assert result.returncode == 0
    assert configuration.FILE_VARIABLE == "MODEL_MANAGER_SETTINGS"
