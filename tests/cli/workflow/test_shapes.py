from __future__ import annotations

import json

from model_manager.cli.workflow.shapes import place_shape, resolved_shape, workflow_shape
from model_manager.facts.resolution import Candidate, Resolved, Ruling, Wish
from model_manager.facts.sourcing import Place
from model_manager.facts.workflow import NodeType, Oddity, Workflow
from tests.facts.test_resolution import FILE, REFERENCE


def test_everything_is_json_and_what_is_not_known_is_null() -> None:
    candidate = Candidate(known=FILE, by="name", value=None, why="x")
    ruling = Ruling(wish=Wish(name="a.pt"), state="fixable", why="y", loaded=None, candidates=(candidate,))
    place = Place(url="https://x.example/a", teller="civitai", weight="guess", why="z")
    found = json.loads(
        json.dumps(resolved_shape(Resolved(reference=REFERENCE, rulings=(ruling,)), [(ruling, (place,))]))
    )
    assert (found["state"], found["url"], found["hash"]) == ("fixable", None, None)
    assert found["files"][0]["candidates"][0]["value"] is None
    assert found["files"][0]["places"] == [place_shape(place)]


def test_a_workflow_says_its_custom_nodes_and_what_was_odd() -> None:
    flow = Workflow(
        form="ui", node_types=(NodeType(name="A"), NodeType(name="B", builtin=True)), oddities=(Oddity(why="x"),)
    )
    found = json.loads(json.dumps(workflow_shape(flow)))
    assert [node["type"] for node in found["custom_nodes"]] == ["A"]
    assert found["oddities"] == [{"why": "x", "node": [], "node_type": None}]
