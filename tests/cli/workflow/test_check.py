from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.model.conftest import put
from tests.cli.workflow.conftest import CHECKPOINT, LORA, Machine, told
from tests.stories.machine import safetensors


def test_every_model_that_loads_is_exit_0_and_one_that_does_not_is_65(machine: Machine) -> None:
    good = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "check", str(good))[0] == 0
    bad = machine.workflow(("LoraLoader", ["Style.safetensors", 1, 1], {}), name="bad.json")
    code, out, err = machine.run("workflow", "check", str(good), str(bad))
    assert (code, "fixable" in out, "0 of 1 model load" in err) == (65, True, True)


def test_json_says_the_ruling_and_what_to_write(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["Style.safetensors", 1, 1], {}))
    ((found,),) = [each["references"] for each in machine.json("workflow", "check", str(flow))]
    assert (found["state"], found["folder"], found["node"]) == ("fixable", "loras", ["1"])
    assert found["files"][0]["candidates"][0]["value"] == "style.safetensors"


def test_another_file_of_the_name_is_no_match_for_a_promised_hash(machine: Machine) -> None:
    entry = told("style.safetensors", "https://x.example/s", "loras", safetensors(3000, 77))
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], entry))
    ((found,),) = [each["references"] for each in machine.json("workflow", "check", str(flow))]
    assert found["state"] == "other"


def test_what_is_bypassed_is_left_out_unless_it_is_asked_for(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["none.safetensors", 1, 1], {}))
    flow.write_text(flow.read_text().replace('"mode": 0', '"mode": 4'))
    assert machine.run("workflow", "check", str(flow))[0] == 0
    code, out, _ = machine.run("workflow", "check", str(flow), "--all")
    assert (code, "not active" in out) == (0, True)


def test_the_directories_of_a_comfyui_are_searched_in_its_order(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nas = tmp_path / "nas"
    put(nas / "loras" / "style.safetensors", CHECKPOINT)
    (machine.comfy / "extra_model_paths.yaml").write_text(
        f"nas:\n  base_path: {nas}\n  is_default: true\n  loras: loras\n"
    )
    assert machine.call("model", "index", "sync")[0] == 0
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    ((found,),) = [each["references"] for each in machine.json("workflow", "check", str(flow))]
    assert found["files"][0]["loaded"] == str(nas / "loras" / "style.safetensors")


def test_a_file_that_only_comfyui_sees_counts_as_well(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "OtherUI"
    put(other / "models" / "loras" / "only.safetensors", LORA)
    flow = machine.workflow(("LoraLoader", ["only.safetensors", 1, 1], {}))
    assert machine.run("workflow", "check", str(flow))[0] == 65
    assert machine.run("workflow", "check", str(flow), "--comfyui", str(other))[0] == 0


def test_without_an_index_it_says_how_one_is_made(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_STATE_DIR", str(tmp_path / "none"))
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    code, _, err = machine.run("workflow", "check", str(flow))
    assert (code, "model dir add" in err) == (0, True)


def test_a_name_that_is_no_workflow_and_no_file_is_said(machine: Machine) -> None:
    code, _, err = machine.run("workflow", "check", "nothing")
    assert (code, "nothing" in err) == (65, True)


def test_without_an_index_it_still_says_which_models_are_needed(machine: Machine, tmp_path: Path) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}), ("VAELoader", ["none.pt"], {}))
    code, out, err = machine.run("workflow", "check", str(flow), "--state-dir", str(tmp_path / "none"))
    assert (code, "nothing is indexed here yet" in err) == (65, True)
    assert "loads     loras/style.safetensors" in out  # ComfyUI's own directory is looked at where no index is
    assert "missing   vae/none.pt" in out


def test_k1_values_that_no_file_can_be_called_are_missing(machine: Machine) -> None:
    names = ["\ud800.pt", "a\0.pt", "n" * 300 + ".pt", "../" * 30 + "etc/passwd.pt"]
    flow = machine.workflow(*[("VAELoader", [name], {}) for name in names])
    found = machine.json("workflow", "check", str(flow))
    assert [each["state"] for each in found[0]["references"]] == ["missing"] * 4
