from __future__ import annotations

import json
from pathlib import Path

from tests.cli.workflow.conftest import CHECKPOINT, LORA, Machine
from tests.library.carrying import png, text
from tests.stories.machine import sha256


def test_a_workflow_of_the_environment_stays_where_it_is(machine: Machine) -> None:
    flow = machine.workflow(
        ("CheckpointLoaderSimple", ["SD15/dream.safetensors"], {}), ("LoraLoader", ["none.safetensors", 1, 1], {})
    )
    code, out, err = machine.run("workflow", "track", str(flow))
    assert (code, "1 model" in out, "loras/none.safetensors" in err) == (0, True, True)
    assert sha256(CHECKPOINT) in machine.manifest
    assert [path.name for path in machine.here.iterdir()].count("workflows") == 0


def test_one_from_elsewhere_becomes_a_copy(machine: Machine, tmp_path: Path) -> None:
    outside = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {})).rename(tmp_path / "away.json")
    assert machine.run("workflow", "track", str(outside), "--name", "mine")[0] == 0
    assert (machine.here / "workflows" / "mine.json").read_bytes() == outside.read_bytes()


def test_a_picture_becomes_the_workflow_that_it_carries(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    picture = machine.here / "out.png"
    picture.write_bytes(png(text("workflow", flow.read_text())))
    assert machine.run("workflow", "track", str(picture))[0] == 0
    assert json.loads((machine.here / "workflows" / "out.json").read_text()) == json.loads(flow.read_text())


def test_comments_of_the_manifest_stay_and_once_more_changes_nothing(machine: Machine) -> None:
    (machine.here / "pyproject.toml").write_text("# mine\n[project]\nname = 'x'  # dear\n")
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    once = machine.manifest
    assert once.startswith("# mine\n[project]\nname = 'x'  # dear\n")
    assert machine.run("workflow", "track", str(flow))[0] == 0
    assert machine.manifest == once
    assert sha256(LORA) in once


def test_a_name_of_another_workflow_is_refused(machine: Machine) -> None:
    one = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    two = machine.workflow(("LoraLoader", ["style.safetensors", 2, 1], {}), name="two.json")
    assert machine.run("workflow", "track", str(one))[0] == 0
    code, _, err = machine.run("workflow", "track", str(two), "--name", "flow")
    assert (code, "--name" in err) == (65, True)


def test_k1_a_name_that_leads_elsewhere_is_refused(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    for name in ("../x", "a/b", ".x", "a\nb"):
        assert machine.run("workflow", "track", str(flow), "--name", name)[0] == 65


def test_json_says_what_was_entered(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    found = machine.json("workflow", "track", str(flow))
    assert (found["name"], found["file"], len(found["models"]), found["unresolved"]) == ("flow", "flow.json", 1, [])


def test_a_file_beside_the_environment_becomes_a_copy_however_its_path_is_written(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    beside = flow.rename(machine.here.parent / "beside.json")
    assert machine.run("workflow", "track", str(machine.here / ".." / "beside.json"))[0] == 0
    assert (machine.here / "workflows" / "beside.json").read_bytes() == beside.read_bytes()
    assert 'file = "workflows/beside.json"' in machine.manifest


def test_without_an_index_it_is_tracked_all_the_same(machine: Machine, tmp_path: Path) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow), "--state-dir", str(tmp_path / "none"))[0] == 0
    assert [each["unresolved"] for each in machine.json("workflow", "list")] == [["loras/style.safetensors"]]


def test_k1_a_value_that_toml_cannot_hold_does_not_keep_the_rest_out(machine: Machine) -> None:
    flow = machine.workflow(("VAELoader", ["\ud800.pt"], {}), ("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    (found,) = machine.json("workflow", "list")
    assert (len(found["models"]), found["unresolved"]) == (1, ["vae/?.pt"])


def test_k1_a_name_too_long_for_a_file_is_refused(machine: Machine) -> None:
    flow = machine.workflow(("VAELoader", ["a.pt"], {}))
    code, _, err = machine.run("workflow", "track", str(flow), "--name", "ö" * 100)
    assert (code, "--name" in err) == (65, True)
