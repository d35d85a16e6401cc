from __future__ import annotations

from tests.cli.workflow.conftest import Machine


def test_an_environment_without_workflows_says_how_one_is_added(machine: Machine) -> None:
    code, out, err = machine.run("workflow", "list")
    assert (code, out, "workflow track" in err) == (0, "", True)


def test_tracked_workflows_are_listed_with_what_is_known(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}), ("LoraLoader", ["none.pt", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    (found,) = machine.json("workflow", "list")
    assert (found["name"], found["there"], len(found["models"]), found["unresolved"]) == (
        "flow",
        True,
        1,
        ["loras/none.pt"],
    )
    flow.unlink()
    assert "(not there)" in machine.run("workflow", "list")[1]
