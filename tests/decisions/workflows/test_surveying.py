"""What a running ComfyUI tells of nodes that no table knows."""

from __future__ import annotations

from typing import Any

from model_manager.decisions.workflows.referring import referred
from model_manager.decisions.workflows.surveying import surveyed
from tests.decisions.workflows.drawing import node, prompt, ui

MODELS = {
    "loras": ["a.safetensors", "sub\\b.safetensors"], "unet_gguf": ["q.gguf"], "odd_things": ["t.thing", "u.thing"], "vae": ["v.pt"],
    "checkpoints": ["c1.ckpt", "c2.ckpt"], "configs": ["v1.yaml"], "empty": [],
}  # fmt: skip
INFO: dict[str, Any] = {
    "Strange": {
        "input": {
            "required": {
                "seed": ["INT", {}], "model": ["MODEL"], "thing": [["None", "t.thing", "u.thing"], {}], "style": [["x", "y"]],
                "hidden": ["STRING", {"forceInput": True}],
            },
            "optional": {"q": ["COMBO", {"options": ["q.gguf"]}], "either": [["c1.ckpt", "c2.ckpt", "v.pt"], {}]},
        }
    },
    "Broken": {"input": {"required": [1]}}, "Null": None,
}  # fmt: skip


def test_an_input_whose_choices_are_the_files_of_a_folder_takes_them() -> None:
    live = surveyed(INFO, MODELS)
    widgets = {widget.name: widget.folders for widget in live.loaders["Strange"].head}
    assert list(widgets) == ["seed", "control_after_generate", "thing", "style", "q", "either"]
    assert widgets["thing"] == ("odd_things",)
    assert widgets["q"] == ("diffusion_models",)
    assert widgets["either"] == ("checkpoints", "vae")
    assert widgets["style"] == ()


def test_a_workflow_is_read_with_what_it_told() -> None:
    live = surveyed(INFO, MODELS)
    workflow = referred(ui(node(1, "Strange", 5, "randomize", "u.thing", "x", "q.gguf", "v.pt")), live)
    assert [(r.input, r.folder, r.evidence) for r in workflow.needed] == [
        ("thing", "odd_things", "live"), ("q", "diffusion_models", "live"), ("either", "checkpoints", "live"),
    ]  # fmt: skip
    absent = referred(prompt(n1=("NotHere", {"x": 1}), n2=("KSampler", {})), live)
    assert [odd.why for odd in absent.oddities] == ["this ComfyUI does not have the node"]


def test_descriptions_that_cannot_be_read_cost_only_themselves() -> None:
    live = surveyed(INFO, MODELS)
    assert live.knows("Broken")
    assert live.loaders["Broken"].head == live.loaders["Null"].head == ()
    assert not live.knows("KSampler")


def test_choices_with_many_strangers_among_them_are_no_files_of_a_folder() -> None:
    choices = ["v.pt", *(f"preset {n}" for n in range(40))]
    live = surveyed({"X": {"input": {"required": {"which": [choices, {}]}}}}, MODELS)
    assert live.loaders["X"].models == ()
