from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.cli.channel import state_directory
from tests.cli.conftest import Call
from tests.cli.model.conftest import put, terminal
from tests.stories.machine import safetensors


def tracked(call: Call) -> dict[str, str | None]:
    return {each["path"]: each["folder"] for each in json.loads(call("model", "dir", "list", "--json")[1])}


def test_a_directory_is_listed_as_soon_as_it_is_added(own: Path, call: Call) -> None:
    code, out, _ = call("model", "dir", "list")
    assert code == 0
    assert str(own) in out
    assert " here " in out
    assert "13.0 kB" in out
    assert "person" in out
    assert len(json.loads(call("model", "index", "list", "--json")[1])) == 3


def test_one_that_is_removed_takes_its_files_out_of_the_index_and_leaves_them_on_the_disk(
    own: Path, call: Call
) -> None:
    code, out, _ = call("model", "dir", "remove", "1")
    assert code == 0
    assert "its files were not touched" in out
    assert (own / "loras" / "a.safetensors").exists()
    assert tracked(call) == {}
    assert call("model", "index", "list", "--json")[1] == "[]\n"


def test_a_directory_that_is_a_folder_is_never_guessed(tmp_path: Path, call: Call) -> None:
    put(tmp_path / "loras" / "a.safetensors", safetensors(500))
    code, _, err = call("model", "dir", "add", str(tmp_path / "loras"))
    assert code == 65
    assert "--as loras" in err
    assert "--as models" in err


@pytest.mark.parametrize(("given", "folder"), [("loras", "loras"), ("models", None)])
def test_it_is_what_the_person_says(tmp_path: Path, call: Call, given: str, folder: str | None) -> None:
    put(tmp_path / "loras" / "a.safetensors", safetensors(500))
    assert call("model", "dir", "add", str(tmp_path / "loras"), "--as", given)[0] == 0
    assert tracked(call) == {str(tmp_path / "loras"): folder}


def test_one_with_folders_in_it_needs_no_word(tmp_path: Path, call: Call) -> None:
    put(tmp_path / "diffusers" / "loras" / "a.safetensors", safetensors(500))
    assert call("model", "dir", "add", str(tmp_path / "diffusers"))[0] == 0
    assert tracked(call) == {str(tmp_path / "diffusers"): None}


def test_a_folder_that_comfyui_does_not_know_may_be_a_typo(tmp_path: Path, call: Call) -> None:
    put(tmp_path / "mine" / "a.safetensors", safetensors(500))
    code, _, err = call("model", "dir", "add", str(tmp_path / "mine"), "--as", "lora")
    assert code == 0
    assert "note: ComfyUI itself knows 'loras', not 'lora'" in err


def test_a_person_at_a_terminal_is_asked(tmp_path: Path, call: Call) -> None:
    put(tmp_path / "loras" / "a.safetensors", safetensors(500))
    program = [sys.executable, "-c", "from model_manager.cli.main import main; main()"]
    with terminal() as (ours, theirs):
        process = subprocess.Popen(
            [*program, "model", "dir", "add", str(tmp_path / "loras")],
            stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        os.write(ours, b"y\n")
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert tracked(call) == {str(tmp_path / "loras"): "loras"}


def test_a_relative_path_is_meant_from_here(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nas").mkdir()
    monkeypatch.chdir(tmp_path)
    assert call("model", "dir", "add", "nas")[0] == 0
    assert list(tracked(call)) == [str(tmp_path / "nas")]


def test_what_cannot_be_tracked_is_refused_with_the_reason(own: Path, tmp_path: Path, call: Call) -> None:
    for path, why in (("/nowhere", "no directory"), (str(own), "already"), (str(own / "loras"), "lies in")):
        code, _, err = call("model", "dir", "add", path, "--as", "models")
        assert code == 65
        assert why in err
    assert call("model", "dir", "remove", str(tmp_path))[0] == 65


def test_the_state_directory_may_be_named(tmp_path: Path, call: Call) -> None:
    (tmp_path / "nas").mkdir()
    state = tmp_path / "elsewhere"
    assert call("model", "dir", "add", str(tmp_path / "nas"), "--state-dir", str(state))[0] == 0
    assert (state_directory(state, {}) / "index.sqlite").exists()
    assert not (tmp_path / "index.sqlite").exists()


def test_json_says_what_was_added_and_what_is_not_tracked_any_more(tmp_path: Path, call: Call) -> None:
    put(tmp_path / "nas" / "loras" / "a.safetensors", safetensors(500))
    path = str(tmp_path / "nas")
    code, out, err = call("model", "dir", "add", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(call("model", "dir", "list", "--json")[1])[0]
    assert json.loads(out)["files"] == 1
    code, out, _ = call("model", "dir", "remove", "1", "--json")
    assert (code, json.loads(out)) == (0, {"path": path, "state": "not tracked"})
