from __future__ import annotations

from tests.cli.workflow.conftest import Machine, machine

__all__ = ["machine"]


def test_an_environment_without_models_says_how_one_is_added(machine: Machine) -> None:
    code, out, err = machine.run("model", "list")
    assert (code, out, "model add" in err) == (0, "", True)


def test_models_are_listed_with_their_state_and_who_needs_them(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    (found,) = machine.json("model", "list")
    assert (found["state"], found["workflows"], found["importance"]) == ("here", ["flow"], "required")
    (machine.comfy / "models" / "loras" / "style.safetensors").unlink()
    assert machine.call("model", "index", "sync")[0] == 0
    assert "unknown" in machine.run("model", "list")[1]
