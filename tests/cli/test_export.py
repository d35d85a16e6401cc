from __future__ import annotations

from model_manager.decisions.manifesting import read
from model_manager.library.carried.parcels import unpacked
from tests.cli.workflow.conftest import LORA, Machine, machine, told
from tests.stories.machine import sha256

__all__ = ["machine"]


def test_an_environment_goes_into_one_file_with_full_hashes_and_sources_and_without_anything_else(
    machine: Machine,
) -> None:
    (machine.here / "pyproject.toml").write_text('[[tool.uv.index]]\nurl = "https://me:secret@x.example"\n')
    entry = told("style.safetensors", "https://x.example/s", "loras")
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], entry))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    code, out, _ = machine.run("export", str(machine.here / "e.tar.gz"))
    assert (code, "1 model, 1 workflow" in out) == (0, True)
    files = unpacked(machine.here / "e.tar.gz")
    assert files["workflows/flow.json"] == flow.read_bytes()
    assert b"secret" not in files["pyproject.toml"]
    (model,) = read(files["pyproject.toml"].decode(), "m").models
    assert (model.sha256, [source.url for source in model.sources]) == (sha256(LORA), ["https://x.example/s"])


def test_what_another_machine_could_not_have_is_said_and_nothing_is_written(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}), ("LoraLoader", ["none.pt", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    file = machine.here / "e.tar.gz"
    code, _, err = machine.run("export", str(file))
    assert (code, "where it could come from" in err, "none.pt" in err, file.exists()) == (65, True, True, False)
    assert machine.run("export", str(file), "--allow-issues")[0] == 0
    assert file.exists()


def test_an_environment_of_nothing_is_not_written(machine: Machine) -> None:
    code, _, err = machine.run("export", str(machine.here / "e.tar.gz"))
    assert (code, "workflow track" in err, (machine.here / "e.tar.gz").exists()) == (65, True, False)


def test_k3_a_manifest_that_names_a_file_elsewhere_takes_nothing_of_it_along(machine: Machine) -> None:
    (machine.here.parent / "private.json").write_text('{"secret": 1}')
    (machine.here / "pyproject.toml").write_text(
        '[tool.comfydock.workflows.tracked."../x"]\nfile = "../private.json"\nrequires = {nodes = [], models = [], python = []}\n'
    )
    code, _, err = machine.run("export", str(machine.here / "e.tar.gz"))
    assert (code, "leads out of the environment" in err) == (65, True)
    assert machine.run("export", str(machine.here / "e.tar.gz"), "--allow-issues")[0] == 0
    assert list(unpacked(machine.here / "e.tar.gz")) == ["pyproject.toml"]


def test_two_names_that_are_one_as_files_become_two_files(machine: Machine) -> None:
    for name in ("one", "two"):
        (machine.here / f"{name}.json").write_text(f'{{"{name}": 1}}')
    (machine.here / "pyproject.toml").write_text(
        '[tool.comfydock.workflows.tracked."a/b"]\nfile = "one.json"\n[tool.comfydock.workflows.tracked.a_b]\nfile = "two.json"\n'
    )
    assert machine.run("export", str(machine.here / "e.tar.gz"))[0] == 0
    files = unpacked(machine.here / "e.tar.gz")
    assert (files["workflows/a_b.json"], files["workflows/a_b-2.json"]) == (b'{"one": 1}', b'{"two": 1}')
