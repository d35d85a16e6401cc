"""Which models a workflow refers to: the hard cases, and what an answer says besides."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.decisions.workflows.referring import MAX_BYTES, read, referred, together
from model_manager.errors import BadWorkflow
from model_manager.facts.workflow import Workflow
from tests.decisions.workflows.custom_orders import CUSTOM_CASES
from tests.decisions.workflows.drawing import link, node, prompt, subgraph, ui
from tests.decisions.workflows.executing import prompt_of
from tests.decisions.workflows.hard_cases import CASES, Case
from tests.decisions.workflows.mutating import ODD, broken_bytes, mutated

ONE = ui(node(1, "CheckpointLoaderSimple", "a.safetensors"))
ID = "6f9a3c1e-2b4d-4e6f-8a1b-3c5d7e9f1a2b"


def places(workflow: Workflow, active: bool) -> set[str]:
    return {f"{r.folder}/{name}" for r in workflow.references if r.active is active for name in r.names}


def at(document: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        document = document[key]
    return document


@pytest.mark.parametrize("case", [*CASES, *CUSTOM_CASES], ids=lambda case: case.name)
def test_hard_case(case: Case) -> None:
    workflow = referred(case.document)
    assert places(workflow, True) == case.active
    assert case.idle <= places(workflow, False)


@pytest.mark.parametrize("case", [*CASES, *CUSTOM_CASES], ids=lambda case: case.name)
def test_every_spot_holds_the_value(case: Case) -> None:
    for reference in referred(case.document).references:
        for spot in reference.spots:
            value = at(case.document, spot.keys)
            assert (value if spot.span is None else value[slice(*spot.span)]) == reference.text


def test_the_drawing_and_its_prompt_refer_to_the_same() -> None:
    inner = subgraph(
        "s", node(5, "UNETLoader", "default.pt", "fp8", links={"unet_name": 1}), node(6, "VAELoader", "v.pt", mode=4),
        node(7, "LoraLoaderModelOnly", "l.pt", 1, links={"lora_name": 2}), inputs=("unet", "lora"), links=[link(1, -10, 0, 5), link(2, -10, 1, 7)],
    )  # fmt: skip
    document = ui(
        node(1, "s", "one.pt", "lora1.pt"), node(2, "s", "two.pt", "lora2.pt", links={"lora": 9}), node(3, "PrimitiveNode", "prim.pt"),
        node(4, "s", mode=2), links=[[9, 3, 0, 2, 1, "COMBO"]], subgraphs=[inner],
    )  # fmt: skip
    drawn, executed = referred(document), referred(prompt_of(document))
    assert {(r.node, r.names, r.folders) for r in drawn.needed} == {
        (r.node, r.names, r.folders) for r in executed.needed
    }
    assert places(executed, True) == {f"diffusion_models/{n}.pt" for n in ("one", "two")} | {
        "loras/lora1.pt",
        "loras/prim.pt",
    }


def test_a_prompt_and_its_drawing_are_told_together() -> None:
    listed = {
        "models": [{"name": "a.safetensors", "url": "https://h.test/a", "directory": "checkpoints", "hash": "ab" * 32}]
    }
    drawn = referred(ui(ONE["nodes"][0] | {"properties": listed}, node(2, "VAELoader", "off.pt", mode=4)))
    executed = referred(prompt(n1=("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"})))
    both = together(executed, drawn)
    assert [(r.names, r.url, r.pin is not None, r.active, bool(r.spots)) for r in both.references] == [
        (("a.safetensors",), "https://h.test/a", True, True, True), (("off.pt",), "", False, False, False),
    ]  # fmt: skip
    assert both.form == "api"


def test_what_only_the_drawing_has_was_not_executed() -> None:
    drawn = referred(ui(node(2, "VAELoader", "unused.pt")))
    (idle,) = together(referred(prompt(n1=("KSampler", {}))), drawn).references
    assert (idle.active, idle.reason) == (False, "it was not executed")


def test_prompts_of_a_history_keep_their_ids() -> None:
    other = ID.replace("6", "7")
    entry = prompt(n1=("VAELoader", {"vae_name": "v.pt"}))
    workflow = referred({ID: {"prompt": [1, ID, entry, {}]}, other: {"prompt": [2, other, entry, {}]}})
    assert [r.node for r in workflow.references] == [(ID, "1"), (other, "1")]
    assert (workflow.wrapping, workflow.nodes, workflow.node_types[0].count) == ("history", 2, 2)


def test_custom_nodes_are_named_with_their_packages() -> None:
    foreign = node(2, "Thing", properties={"cnr_id": "a-pack", "ver": "1.2"}, mode=4)
    workflow = referred(ui(ONE["nodes"][0], foreign, node(3, "Thing")))
    (custom,) = workflow.custom_nodes
    assert (custom.name, custom.package, custom.version, custom.count, custom.active) == (
        "Thing",
        "a-pack",
        "1.2",
        2,
        True,
    )


def test_files_that_the_workflow_lists_for_itself_are_told_of_what_selects_them() -> None:
    models = [
        {"name": "a.safetensors", "url": "https://h.test/a", "directory": "checkpoints"},
        {"name": "z.pt", "directory": "vae"},
    ]
    selected, other = referred(ONE | {"models": models}).references
    assert (selected.url, selected.active) == ("https://h.test/a", True)
    assert (other.node, other.names, other.active) == ((), ("z.pt",), False)


def test_a_name_that_is_known_only_when_it_runs_leaves_the_answer_incomplete() -> None:
    workflow = referred(prompt(n1=("VAELoader", {"vae_name": ["2", 0]}), n2=("RandomChoice", {"seed": 1})))
    assert (workflow.references, workflow.complete) == ((), False)
    assert "its vae_name comes from node 2" in workflow.oddities[0].why
    assert referred(ONE).complete


def test_one_odd_node_costs_that_node() -> None:
    document = ui(node(1, "VAELoader", "v.pt"), {"id": 2, "type": None}, node(3, "CheckpointLoaderSimple", "a.pt"))
    workflow = referred(document)
    assert places(workflow, True) == {"vae/v.pt", "checkpoints/a.pt"}
    assert [odd.node for odd in workflow.oddities] == [("2",)]
    assert not workflow.complete


def test_files_are_read_as_comfyui_and_editors_leave_them() -> None:
    text = json.dumps(prompt(n1=("VAELoader", {"vae_name": "v.pt", "is_changed": [float("nan")], "text": "\ud800"})))
    assert "NaN" in text
    assert places(read(b"\xef\xbb\xbf" + text.encode(), "x.json"), True) == {"vae/v.pt"}


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"nonsense", b"[" * 100_000, b'{"nodes": []}', b'"text"'])
def test_what_is_no_workflow_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(BadWorkflow, match=r"mine\.json"):
        read(data, "mine.json")


def test_files_beyond_the_limit_are_not_opened() -> None:
    with pytest.raises(BadWorkflow, match="larger than"):
        read(b" " * (MAX_BYTES + 1), "big.json")


@pytest.mark.parametrize(
    "document",
    [
        ui(node(1, "s0"), subgraphs=[subgraph(f"s{n}", *(node(k, f"s{n + 1}") for k in range(10))) for n in range(20)]),
        ui(node(1, "X", *[f"{n}.pt" for n in range(50_000)])),
        ui(*(node(n, "CLIPTextEncode", "embedding:a " * 500) for n in range(300))),
        ui(node(1, "VAELoader", ["v.pt"] * 100_000)),
        prompt(**{f"n{n}": ("VAELoader", {"vae_name": [str(n + 1), 0]}) for n in range(3_000)}),
    ],
    ids=["multiplying", "wide", "tags", "long", "chain"],
)
def test_a_bomb_is_bounded_and_says_that_it_was_cut(document: Any) -> None:
    workflow = referred(document)
    assert len(workflow.references) <= 30_000
    assert not workflow.complete


@given(st.integers(0, 2**32), st.sampled_from(CASES))
@settings(max_examples=150, deadline=None)
def test_nothing_but_a_refusal_escapes_from_a_broken_workflow(seed: int, case: Case) -> None:
    chance = random.Random(seed)
    try:
        referred(mutated(case.document, chance))
        read(broken_bytes(json.dumps(case.document).encode(), chance), "x")
    except BadWorkflow as refusal:
        assert str(refusal)  # noqa: PT017 - either way is right, as long as nothing else escapes


@given(st.recursive(st.sampled_from(ODD), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
    ["nodes", "links", "id", "type", "inputs", "widgets_values", "class_type", "definitions", "subgraphs", "prompt", "link", "name", "widget", "mode"]
), inner, max_size=6), max_leaves=40))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_nothing_but_a_refusal_escapes_from_what_only_resembles_a_workflow(document: Any) -> None:
    try:
        referred(document)
    except BadWorkflow as refusal:
        assert str(refusal)  # noqa: PT017 - as above
