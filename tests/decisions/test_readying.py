from __future__ import annotations

import pytest

from model_manager.decisions.readying import readiness
from model_manager.facts.model import Assignment, Problem, Requirements, Wanted, WorkflowNeed
from tests.decisions.making import model, shelf

BASE, VAE, LORA = (
    shelf(path) for path in ("checkpoints/base.safetensors", "vae/vae.safetensors", "loras/lora.safetensors")
)


def asked(problems=(), complete=True, unknown=None):
    wanted = [
        Wanted(model=model(str(path)), required=path != LORA, needed_by=("workflow:flux",))
        for path in (BASE, VAE, LORA)
    ]
    return Requirements(
        generation="g",
        assignment=Assignment(workflows=("flux", "style")),
        wanted=tuple(wanted),
        workflows=(
            WorkflowNeed(name="flux", required=(BASE, VAE), optional=(LORA,), unknown=unknown),
            WorkflowNeed(name="style", required=(VAE,)),
        ),
        problems=tuple(problems),
        complete=complete,
    )


def problem(kind="unknown_workflow", subject="flux", **more):
    return Problem(kind=kind, subject=subject, why="it is said so", **more)


def test_unknown_is_never_ready():
    found = readiness(None, {})
    assert not found.ready
    assert found.reasons


@pytest.mark.parametrize(
    ("lacking", "ready", "flux", "style", "present"),
    [
        ({}, True, True, True, 2),
        ({LORA: "not here"}, True, True, True, 2),
        ({BASE: "not here"}, False, False, True, 1),
        ({VAE: "not here"}, False, False, False, 1),
        ({BASE: "x", VAE: "y", LORA: "z"}, False, False, False, 0),
    ],
)
def test_ready_means_that_every_required_model_is_there(lacking, ready, flux, style, present):
    found = readiness(asked(), lacking)
    assert (found.ready, [flow.ready for flow in found.workflows]) == (ready, [flux, style])
    assert (found.required, found.present, found.generation) == (2, present, "g")
    assert found.ready == (not found.reasons)
    assert all(flow.ready == (not flow.reasons) for flow in found.workflows)


def test_the_reason_names_the_model_and_what_is_wrong():
    assert readiness(asked(), {BASE: "waiting: no space"}).reasons == (f"{BASE}: waiting: no space",)


def test_f4_an_incomplete_description_holds_the_whole_and_says_so():
    assert readiness(asked(complete=False), {}).reasons == ("the catalog has not described the whole assignment yet",)


def test_a_workflow_whose_needs_are_unknown_is_not_ready_while_others_are():
    found = readiness(asked([problem()], complete=False, unknown="404"), {})
    assert [flow.ready for flow in found.workflows] == [False, True]
    assert found.workflows[0].reasons == ("404",)
    assert found.reasons == ("flux: it is said so",)


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        (problem(blocks=False), True),
        (problem("conflict", str(BASE)), False),
        (problem("conflict", str(LORA)), True),
        (problem("conflict", "vae/of-nobody.safetensors"), False),
    ],
)
def test_which_problems_hold_the_gate(said, ready):
    assert readiness(asked([said]), {}).ready == ready
