from __future__ import annotations

from tests.cli.workflow.conftest import LORA, VAE, Machine, machine
from tests.stories.machine import safetensors, sha256

__all__ = ["machine"]


def test_a_model_that_is_here_is_added_by_name_or_hash(machine: Machine) -> None:
    assert machine.run("model", "add", "style")[0] == 0
    once = machine.manifest
    assert sha256(LORA) in once
    assert machine.run("model", "add", sha256(LORA)[:12])[0] == 0
    assert machine.manifest == once


def test_an_optional_one_is_so(machine: Machine) -> None:
    code, out, _ = machine.run("model", "add", "style", "--optional")
    assert (code, "optional" in out) == (0, True)
    assert "[tool.comfydock.models.optional]" in machine.manifest


def test_one_at_a_url_is_fetched_first_and_its_source_stands_there(machine: Machine) -> None:
    url = machine.shelf.put("/x/fine.safetensors", VAE)
    code, _, err = machine.run("model", "add", url, "--folder", "vae/sub", "--hash", f"sha256:{sha256(VAE)}")
    assert (code, "fetched" in err) == (0, True)
    assert (machine.comfy / "models" / "vae" / "sub" / "fine.safetensors").read_bytes() == VAE
    assert url in machine.manifest
    assert 'relative_path = "vae/sub/fine.safetensors"' in machine.manifest


def test_a_workflow_learns_of_its_model(machine: Machine) -> None:
    flow = machine.workflow(("VAELoader", ["fine.safetensors"], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    url = machine.shelf.put("/x/fine.safetensors", VAE)
    assert machine.run("model", "add", url, "--folder", "vae", "--workflow", "flow")[0] == 0
    (found,) = machine.json("workflow", "list")
    assert (len(found["models"]), found["unresolved"]) == (1, [])


def test_what_cannot_be_meant_is_refused_and_says_what_to_write(machine: Machine) -> None:
    for arguments, said in (
        (["https://x.example/a.safetensors"], "--folder"),
        (["ftp://x.example/a.safetensors"], "http(s)"),
        (["https://x.example/a.safetensors", "--folder", "vae", "--hash", "zz"], "sha256:"),
        (["https://x.example/a.exe", "--folder", "vae"], "ending"),
        (["style", "--workflow", "none"], "workflow none"),
        (["nothing-like-it"], "index"),
    ):
        code, _, err = machine.run("model", "add", *arguments)
        assert (code, said in err) == (65, True), err


def test_b16_wrong_bytes_are_no_part_of_it(machine: Machine) -> None:
    url = machine.shelf.put("/x/fine.safetensors", safetensors(2500, 55))
    code, _, _ = machine.run("model", "add", url, "--folder", "vae", "--hash", f"sha256:{sha256(VAE)}")
    assert code == 75
    assert not (machine.here / "pyproject.toml").exists()


def test_what_came_from_there_once_and_is_here_does_not_come_again(machine: Machine) -> None:
    url = machine.shelf.put("/x/fine.safetensors", VAE)
    assert machine.run("model", "add", url, "--folder", "vae")[0] == 0
    machine.shelf.asked.clear()
    code, out, _ = machine.run("model", "add", url, "--optional")
    assert (code, "optional" in out, machine.shelf.asked) == (0, True, [])
