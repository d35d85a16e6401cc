from __future__ import annotations

import pytest

from tests.cli.workflow.conftest import Machine
from tests.library.carrying import png, text


def test_every_reference_is_shown_with_its_node_and_how_sure_it_is(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}), ("Strange Node", ["x"], {}))
    code, out, err = machine.run("workflow", "show", str(flow))
    assert code == 0
    assert "style.safetensors" in out
    assert "certain" in out
    assert "custom node: Strange Node" in err


def test_json_has_every_field(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    found = machine.json("workflow", "show", str(flow))
    assert (found["form"], found["nodes"], found["references"][0]["folder"]) == ("ui", 1, "loras")


def test_a_picture_shows_what_it_carries_and_one_that_carries_nothing_says_so(machine: Machine) -> None:
    picture = machine.here / "a.png"
    picture.write_bytes(png(text("prompt", '{"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.pt"}}}')))
    assert machine.json("workflow", "show", str(picture))["form"] == "api"
    picture.write_bytes(png())
    code, _, err = machine.run("workflow", "show", str(picture))
    assert (code, "carries neither" in err) == (65, True)


def test_k12_names_with_control_characters_are_shown_escaped(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["evil\x1b[31m.safetensors", 1, 1], {}))
    _, out, err = machine.run("workflow", "show", str(flow))
    assert "\x1b" not in out + err


def test_what_is_no_workflow_says_so(machine: Machine) -> None:
    file = machine.here / "x.json"
    file.write_text("[1, 2")
    code, _, err = machine.run("workflow", "show", str(file))
    assert (code, "Save it again in ComfyUI" in err) == (65, True)


def test_names_stay_whole_in_a_narrow_terminal(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a-name-that-is-longer-than-forty-columns-of-a-terminal.safetensors"
    flow = machine.workflow(("LoraLoader", [name, 1, 1], {}))
    assert f"loras/{name}" in machine.run("workflow", "show", str(flow))[1]


def test_a_path_as_long_as_linux_takes_is_shown(machine: Machine) -> None:
    name = "/".join(["directory"] * 60) + "/a.safetensors"
    flow = machine.workflow(("LoraLoader", [name, 1, 1], {}))
    assert machine.json("workflow", "show", str(flow))["references"][0]["names"] == [name]
