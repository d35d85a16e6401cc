"""Where workflows are in documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_manager.decisions.workflows.unwrapping import graphs
from tests.decisions.workflows.drawing import node, prompt, ui

PROMPT = prompt(n1=("VAELoader", {"vae_name": "v.pt"}))
DRAWN = ui(node(1, "VAELoader", "v.pt"))
ID = "6f9a3c1e-2b4d-4e6f-8a1b-3c5d7e9f1a2b"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (DRAWN, [("ui", "", ())]),
        (PROMPT, [("api", "", ())]),
        ({"prompt": PROMPT}, [("api", "prompt", ("prompt",))]),
        ({"output": PROMPT, "workflow": DRAWN}, [("api", "prompt", ("output",)), ("ui", "prompt", ("workflow",))]),
        ({ID: {"prompt": [1, ID, PROMPT, {}, []]}}, [("api", "history", (ID, "prompt", 2))]),
        ({"queue_running": [[0, ID, PROMPT, {}]], "queue_pending": []}, [("api", "job", ("queue_running", 0, 2))]),
        ({"input": {"workflow": PROMPT}}, [("api", "job", ("input", "workflow"))]),
        ({"workflow": json.dumps(DRAWN)}, [("ui", "prompt", None)]),
        (ui(extra={"linearMode": True}), [("ui", "app", ())]),
        ([{"id": 1, "type": "VAELoader", "widgets_values": []}], [("ui", "", None)]),
        ({"nodes": {"1": {"id": 1, "type": "X"}}}, [("ui", "", ())]),
    ],
)  # fmt: skip
def test_a_graph_is_known_by_its_shape(document: Any, expected: list[Any]) -> None:
    assert [(graph.form, graph.wrapping, graph.keys) for graph in graphs(document)] == expected


@pytest.mark.parametrize(
    "document", [None, 3, "x", [], {}, {"nodes": []}, {"nodes": [1, 2]}, {"a": {"b": "c"}}, {"prompt": "a cat"}]
)
def test_what_holds_no_workflow_has_none(document: Any) -> None:
    assert graphs(document) == []


def test_entries_of_a_history_are_told_apart() -> None:
    other = ID.replace("6", "7")
    found = graphs({ID: {"prompt": [1, ID, PROMPT]}, other: {"prompt": [2, other, PROMPT]}})
    assert [graph.entry for graph in found] == [(ID,), (other,)]


def test_what_lies_too_deep_is_not_looked_for() -> None:
    document: Any = PROMPT
    for _ in range(20):
        document = {"a": document}
    assert graphs(document) == []
