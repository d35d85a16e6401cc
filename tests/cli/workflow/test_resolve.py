from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.cli.workflow.reading import sheet
from tests.cli.model.conftest import put
from tests.cli.workflow.conftest import CHECKPOINT, LORA, VAE, Machine, told
from tests.library.carrying import png, text
from tests.stories.machine import safetensors, sha256


def test_what_is_missing_is_fetched_and_wrong_names_are_written_back(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(
        ("CheckpointLoaderSimple", ["SD15\\dream.safetensors"], {}),
        ("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)),
    )
    before = flow.read_bytes()
    assert machine.run("workflow", "check", str(flow))[0] == 65
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert (code, "2 of 2 load" in err) == (0, True)
    assert flow.read_bytes() == before.replace(b'"SD15\\\\dream.safetensors"', b'"SD15/dream.safetensors"')
    assert (machine.comfy / "models" / "vae" / "fine.safetensors").read_bytes() == VAE
    assert machine.run("workflow", "check", str(flow))[0] == 0


def test_a_dry_run_does_nothing(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)))
    before = flow.read_bytes()
    code, _, err = machine.run("workflow", "resolve", str(flow), "--dry-run")
    assert (code, f"fetch vae/fine.safetensors from {url}" in err) == (0, True)
    assert (flow.read_bytes(), machine.shelf.asked) == (before, [])


def test_where_nobody_can_be_asked_nothing_is_done_without_a_yes(machine: Machine) -> None:
    flow = machine.workflow(("CheckpointLoaderSimple", ["SD15\\dream.safetensors"], {}))
    before = flow.read_bytes()
    code, _, err = machine.run("workflow", "resolve", str(flow))
    assert (code, "--yes" in err, flow.read_bytes()) == (65, True, before)


def test_what_could_be_several_files_fails_with_the_candidates(machine: Machine) -> None:
    put(machine.comfy / "models" / "loras" / "a" / "twin.safetensors", safetensors(900, 7))
    put(machine.comfy / "models" / "loras" / "b" / "twin.safetensors", safetensors(900, 8))
    assert machine.call("model", "index", "sync")[0] == 0
    flow = machine.workflow(("LoraLoader", ["twin.safetensors", 1, 1], {}))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert code == 2
    assert "loras/a/twin.safetensors" in err
    assert "loras/b/twin.safetensors" in err


def test_bytes_that_are_here_under_another_name_are_linked(machine: Machine) -> None:
    put(machine.comfy / "models" / "unet" / "other.safetensors", VAE)
    assert machine.call("model", "index", "sync")[0] == 0
    flow = machine.workflow(
        ("VAELoader", ["fine.safetensors"], told("fine.safetensors", "http://127.0.0.1:1/x", "vae", VAE))
    )
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert (code, "link " in err) == (0, True), err
    assert (machine.comfy / "models" / "vae" / "fine.safetensors").read_bytes() == VAE
    assert machine.shelf.asked == []


def test_b16_what_is_not_the_promised_file_is_not_kept(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", safetensors(2500, 99))
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert (code, "failed" in err) == (75, True)
    assert not (machine.comfy / "models" / "vae" / "fine.safetensors").exists()


def test_a_search_proves_a_file_by_its_promised_hash(machine: Machine) -> None:
    shelf = machine.shelf
    repo = {"id": "me/vaes", "siblings": [{"rfilename": "fine.safetensors"}]}
    shelf.answers["/api/models"] = [repo]
    info = [{"path": "fine.safetensors", "size": len(VAE), "lfs": {"oid": sha256(VAE)}}]
    shelf.answers["/api/models/me/vaes/paths-info/main"] = info
    shelf.answers["/api/v1/models"] = {"items": []}
    shelf.put("/me/vaes/resolve/main/fine.safetensors", VAE)
    entry = told("fine.safetensors", "", "vae", VAE)
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], entry))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert (code, "--online" in err) == (65, True)
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes", "--online")
    assert (code, "promised hash, in me/vaes" in err) == (0, True)
    assert (machine.comfy / "models" / "vae" / "fine.safetensors").read_bytes() == VAE


def test_a_search_that_only_finds_the_name_is_not_taken_unasked(machine: Machine) -> None:
    machine.shelf.answers["/api/models"] = [{"id": "me/vaes", "siblings": [{"rfilename": "fine.safetensors"}]}]
    machine.shelf.answers["/api/v1/models"] = {"items": []}
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], {}))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes", "--online")
    assert (code, "guess: its name agrees" in err) == (2, True)


def test_a_picture_is_resolved_and_never_written_to(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(
        ("CheckpointLoaderSimple", ["SD15/Dream.safetensors"], {}),
        ("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)),
    )
    picture = machine.here / "out.png"
    picture.write_bytes(png(text("workflow", json.dumps(json.loads(flow.read_text())))))
    before = picture.read_bytes()
    code, _, err = machine.run("workflow", "resolve", str(picture), "--yes")
    assert code == 0, err
    assert picture.read_bytes() == before
    assert (machine.comfy / "models" / "checkpoints" / "SD15" / "Dream.safetensors").read_bytes() == CHECKPOINT


def test_a_tracked_workflow_becomes_complete_in_the_manifest(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    assert "unresolved" in machine.manifest
    assert machine.run("workflow", "resolve", "flow", "--yes")[0] == 0
    assert "unresolved" not in machine.manifest
    assert sha256(VAE) in machine.manifest
    assert machine.run("workflow", "resolve", "flow", "--yes")[0] == 0


def test_without_any_comfyui_downloads_need_a_place(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COMFYUI_BASE_PATH")
    monkeypatch.setenv("MODEL_MANAGER_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "nas" / "loras").mkdir(parents=True)
    put(tmp_path / "nas" / "loras" / "style.safetensors", LORA)
    assert machine.call("model", "dir", "add", str(tmp_path / "nas"))[0] == 0
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes")
    assert (code, "MODEL_MANAGER_STORE" in err) == (78, True)
    (tmp_path / "mine").mkdir()
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes", "--into", str(tmp_path / "mine"))
    assert (code, (tmp_path / "mine" / "vae" / "fine.safetensors").read_bytes()) == (0, VAE)
    code, _, err = machine.run("workflow", "check", str(flow))
    assert (code, "no ComfyUI is named" in err) == (0, True)


def test_a_file_that_somebody_wrote_meanwhile_is_left_alone(machine: Machine) -> None:
    from model_manager.cli.workflow.deciding import Work
    from model_manager.cli.workflow.resolve import _write_back
    from model_manager.decisions.workflows.patching import Edit
    from model_manager.errors import BadRequest

    flow = machine.workflow(("CheckpointLoaderSimple", ["SD15\\dream.safetensors"], {}))
    read = sheet(flow)
    edit = Edit(spot=read.workflow.references[0].spots[0], old="SD15\\dream.safetensors", new="x")
    flow.write_text(flow.read_text() + "\n")
    with pytest.raises(BadRequest, match="written meanwhile"):
        _write_back(read, Work(edits=[edit]))
    _write_back(replace(read, data=None), Work(edits=[edit]))


def test_a_dry_run_in_json_says_everything_that_would_be_done(machine: Machine) -> None:
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(
        ("CheckpointLoaderSimple", ["SD15\\dream.safetensors"], {}),
        ("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)),
        ("LoraLoader", ["nowhere.safetensors", 1, 1], {}),
    )
    code, out, _ = machine.run("workflow", "resolve", str(flow), "--dry-run", "--json")
    found = json.loads(out)
    assert code == 65
    assert [(each["keys"], each["new"]) for each in found["write"]] == [
        (["nodes", 0, "widgets_values", 0], "SD15/dream.safetensors")
    ]
    assert [(each["name"], each["urls"]) for each in found["models"]] == [("fine.safetensors", [url])]
    assert [each["model"] for each in found["left"]] == ["loras/nowhere.safetensors"]
    assert (found["unclear"], machine.shelf.asked) == ([], [])


def test_a_model_that_does_not_come_keeps_no_other_value_from_being_written(machine: Machine) -> None:
    flow = machine.workflow(
        ("CheckpointLoaderSimple", ["SD15\\dream.safetensors"], {}),
        ("VAELoader", ["gone.safetensors"], told("gone.safetensors", machine.shelf.url("/gone"), "vae")),
    )
    code, out, err = machine.run("workflow", "resolve", str(flow), "--yes", "--json")
    assert (code, "1 of 1 models could not be had" in err, ".. " in err) == (75, True, False)
    assert [each["state"] for each in json.loads(out)["references"]] == ["loads", "missing"]
    assert b"SD15/dream.safetensors" in flow.read_bytes()


def test_where_downloads_belong_is_asked_for_by_the_option_that_says_it(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMFYUI_BASE_PATH")
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)))
    fresh = ("--state-dir", str(tmp_path / "fresh"))
    code, _, err = machine.run("workflow", "resolve", str(flow), "--yes", *fresh)
    assert (code, "--into DIR" in err) == (78, True)
    (tmp_path / "models").mkdir()
    assert machine.run("workflow", "resolve", str(flow), "--yes", "--into", str(tmp_path / "models"), *fresh)[0] == 0
    assert (tmp_path / "models" / "vae" / "fine.safetensors").read_bytes() == VAE
