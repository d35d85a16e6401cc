"""What a workflow's answer says of itself."""

from __future__ import annotations

from dataclasses import replace

from model_manager.facts.workflow import NodeType, Reference, Workflow

ONE = Reference(
    node=("1",), node_type="VAELoader", input="vae_name", text="v.pt", names=("v.pt",), folders=("vae", "vae_approx"),
    kind="file", evidence="loader", confidence="certain", reason="", active=True,
)  # fmt: skip


def test_the_first_folder_is_where_the_file_belongs() -> None:
    assert ONE.folder == "vae"
    assert replace(ONE, folders=()).folder == ""


def test_only_active_references_are_needed_and_only_foreign_nodes_are_custom() -> None:
    types = (NodeType(name="VAELoader", builtin=True), NodeType(name="X", package="a-pack"))
    workflow = Workflow(form="ui", references=(ONE, replace(ONE, active=False)), node_types=types)
    assert workflow.needed == (ONE,)
    assert [node.package for node in workflow.custom_nodes] == ["a-pack"]
