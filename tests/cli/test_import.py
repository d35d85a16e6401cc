from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model_manager.library.carried.parcels import packed
from model_manager.library.contents.sampling import quick_hash
from tests.cli.model.conftest import put
from tests.cli.workflow.conftest import LORA, VAE, Machine, machine, told
from tests.stories.machine import safetensors, sha256

__all__ = ["machine"]


def exported(machine: Machine) -> Path:
    """An environment of two models, of which this machine lost one."""
    url = machine.shelf.put("/vae/fine.safetensors", VAE)
    fine = put(machine.comfy / "models" / "vae" / "fine.safetensors", VAE)
    assert machine.call("model", "index", "sync")[0] == 0
    flow = machine.workflow(
        ("LoraLoader", ["style.safetensors", 1, 1], told("style.safetensors", machine.shelf.url("/no"), "loras", LORA)),
        ("VAELoader", ["fine.safetensors"], told("fine.safetensors", url, "vae", VAE)),
    )
    assert machine.run("workflow", "track", str(flow))[0] == 0
    file = machine.here.parent / "e.tar.gz"
    assert machine.run("export", str(file))[0] == 0
    fine.unlink()
    assert machine.call("model", "index", "sync")[0] == 0
    shutil.rmtree(machine.here)
    machine.here.mkdir()
    return file


def test_first_comes_what_it_would_mean(machine: Machine) -> None:
    found = machine.json("import", str(exported(machine)), "--analyse")
    assert {each["model"]: each["outcome"] for each in found["models"]} == {
        "loras/style.safetensors": "here", "vae/fine.safetensors": "downloaded",
    }  # fmt: skip
    assert (found["bytes"], found["complete"]) == (len(VAE), True)
    assert list(machine.here.iterdir()) == []


def test_then_models_are_fetched_and_manifest_and_workflows_are_written(machine: Machine) -> None:
    file = exported(machine)
    code, out, err = machine.run("import", str(file), "--yes")
    assert (code, "downloaded: 1" in out, "fetched" in err) == (0, True, True)
    assert (machine.comfy / "models" / "vae" / "fine.safetensors").read_bytes() == VAE
    assert (machine.here / "workflows" / "flow.json").is_file()
    assert sha256(VAE) in machine.manifest
    assert machine.run("workflow", "check", "flow")[0] == 0
    assert machine.run("import", str(file), "--yes")[0] == 0


def test_nothing_is_done_where_nobody_said_yes(machine: Machine) -> None:
    code, _, err = machine.run("import", str(exported(machine)))
    assert (code, "--yes" in err, list(machine.here.iterdir())) == (65, True, [])


def test_a_file_that_is_in_the_way_is_left_alone(machine: Machine) -> None:
    file = exported(machine)
    (machine.here / "workflows").mkdir()
    (machine.here / "workflows" / "flow.json").write_text("{}")
    code, _, err = machine.run("import", str(file), "--yes")
    assert (code, "there already" in err) == (65, True)
    assert not (machine.here / "pyproject.toml").exists()


def test_what_nobody_knows_is_said_and_the_rest_comes(machine: Machine) -> None:
    text = (
        "[tool.comfydock.models.required]\n"
        f'one = {{ filename = "lost.safetensors", type = "vae", sha256 = "{"a" * 64}" }}\n'
        "[tool.comfydock.models.optional]\n"
        f'two = {{ filename = "also.safetensors", type = "vae", sha256 = "{"b" * 64}" }}\n'
    )
    parcel = machine.here.parent / "pyproject.toml"
    parcel.write_text(text)
    code, out, _ = machine.run("import", str(parcel), "--yes")
    assert (code, "unknown: 2" in out) == (65, True)
    assert len(machine.json("import", str(parcel), "--analyse", "--required-only")["models"]) == 1


def bundle(machine: Machine, data: bytes, url: str = "") -> Path:
    """A bundle of comfygit, whose models have nothing but its quick hash."""
    sample = machine.here.parent / "sample"
    sample.write_bytes(data)
    quick = quick_hash(str(sample), "xxh3_128_sample_v1")[1]
    text = (
        "[tool.comfygit.models]\n"
        f'"{quick}" = {{ filename = "it.safetensors", size = {len(data)}, relative_path = "loras/it.safetensors", '
        f'category = "loras", sources = [{json.dumps(url) if url else ""}] }}\n'
        '[tool.comfygit.workflows.flow]\npath = "workflows/flow.json"\n'
        f'models = [{{ filename = "it.safetensors", category = "loras", criticality = "required", hash = "{quick}" }}]\n'
    )
    file = machine.here.parent / "bundle.tar.gz"
    file.write_bytes(packed({"pyproject.toml": text.encode(), "workflows/flow.json": b'{"nodes": []}'}))
    return file


def test_a_bundle_of_comfygit_finds_its_files_by_their_samples(machine: Machine) -> None:
    file = bundle(machine, LORA)
    (found,) = machine.json("import", str(file), "--analyse")["models"]
    assert (found["outcome"], found["file"]) == (
        "likely",
        str(machine.comfy / "models" / "loras" / "style.safetensors"),
    )
    assert machine.run("import", str(file), "--yes")[0] == 0
    assert "[tool.comfydock.workflows.tracked.flow]" in machine.manifest
    assert sha256(LORA) in machine.manifest


def test_b16_what_is_fetched_for_a_bundle_is_held_against_its_samples(machine: Machine) -> None:
    other = safetensors(2345, 5)
    url = machine.shelf.put("/it.safetensors", safetensors(2345, 6))
    code, _, err = machine.run("import", str(bundle(machine, other, url)), "--yes")
    assert (code, "its samples differ" in err) == (65, True), err


@pytest.mark.parametrize("data", [b"", b"[project]\n", b"\xff", b"\x1f\x8bx"])
def test_what_is_no_environment_is_refused(machine: Machine, data: bytes) -> None:
    file = machine.here.parent / "x.tar.gz"
    file.write_bytes(data)
    assert machine.run("import", str(file), "--yes")[0] == 65


def test_k3_names_from_outside_lead_nowhere_else(machine: Machine) -> None:
    text = '[tool.comfydock.workflows.tracked."../../evil"]\nfile = "../../../evil.json"\n'
    file = machine.here.parent / "e.tar.gz"
    file.write_bytes(packed({"pyproject.toml": text.encode(), "workflows/../../evil.json": b"{}"}))
    before = set(machine.here.parent.rglob("evil*"))
    machine.run("import", str(file), "--yes")
    assert set(machine.here.parent.rglob("evil*")) == before


def test_k3_two_workflows_that_would_be_one_file_are_refused(machine: Machine) -> None:
    text = '[tool.comfydock.workflows.tracked."a/b"]\nfile = "workflows/1.json"\n[tool.comfydock.workflows.tracked.a_b]\nfile = "workflows/2.json"\n'
    file = machine.here.parent / "two.tar.gz"
    file.write_bytes(packed({"pyproject.toml": text.encode(), "workflows/1.json": b"{}", "workflows/2.json": b"[]"}))
    code, _, err = machine.run("import", str(file), "--yes")
    assert (code, "two of its workflows" in err, list(machine.here.iterdir())) == (65, True, [])
