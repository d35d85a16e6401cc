"""The nodes that a drawing really has."""

from __future__ import annotations

from typing import Any

from model_manager.decisions.workflows.unfolding import MOST_VALUES, Unfolding
from model_manager.facts.graph import Budget, Node, Unfolded
from tests.decisions.workflows.drawing import link, node, subgraph, ui


def unfolded(document: dict[str, Any], budget: Budget | None = None) -> Unfolded:
    return Unfolding(document, (), (), None, budget or Budget()).unfolded()


def nodes(document: dict[str, Any]) -> dict[str, Node]:
    return {":".join(each.path): each for each in unfolded(document).nodes}


def value(one: Node, name: str) -> Any:
    return next(each for each in one.values if each.input == name)


def test_a_subgraph_counts_once_per_instance() -> None:
    found = nodes(ui(node(1, "s"), node(2, "s", mode=4), subgraphs=[subgraph("s", node(7, "VAELoader", "v.pt"))]))
    assert {path: each.why for path, each in found.items()} == {
        "1:7": "",
        "2:7": "it is inside a subgraph that is muted or bypassed",
    }


def test_links_go_through_reroutes_and_named_pairs() -> None:
    document = ui(
        node(1, "PrimitiveNode", "p.pt"), node(2, "Reroute", plain={"": 1}), node(3, "SetNode", "name", plain={"x": 2}),
        node(4, "GetNode", "name"), node(5, "VAELoader", "stale.pt", links={"vae_name": 3}),
        links=[[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "*"], [3, 4, 0, 5, 0, "*"]],
    )  # fmt: skip
    assert value(nodes(document)["5"], "vae_name").content == "p.pt"


def test_a_link_from_a_node_makes_the_own_value_stale() -> None:
    document = ui(
        node(1, "Text", "x.pt"), node(2, "VAELoader", "old.pt", links={"vae_name": 1}), links=[[1, 1, 0, 2, 0, "S"]]
    )
    found = nodes(document)["2"]
    assert value(found, "vae_name").fed_by == ("1",)
    assert [(feed.input, feed.source) for feed in found.feeds] == [("vae_name", ("1",))]


def test_a_link_from_a_muted_or_absent_node_leaves_the_own_value() -> None:
    for source in (node(1, "Text", "x.pt", mode=2), node(8, "Text", "x.pt")):
        document = ui(source, node(2, "VAELoader", "own.pt", links={"vae_name": 1}), links=[[1, 1, 0, 2, 0, "S"]])
        assert value(nodes(document)["2"], "vae_name").content == "own.pt"
        assert value(nodes(document)["2"], "vae_name").fed_by is None


def test_a_primitive_is_changed_together_with_what_it_feeds() -> None:
    document = ui(
        node(1, "PrimitiveNode", "p.pt"),
        node(2, "VAELoader", "p.pt", links={"vae_name": 1}),
        links=[[1, 1, 0, 2, 0, "S"]],
    )
    assert [spot.keys for spot in value(nodes(document)["2"], "vae_name").spots] == [
        ("nodes", 0, "widgets_values", 0), ("nodes", 1, "widgets_values", 0),
    ]  # fmt: skip


def test_an_instance_fed_from_outside_takes_what_comes_in() -> None:
    inner = subgraph(
        "s", node(5, "VAELoader", "v.pt", links={"vae_name": 1}), inputs=("vae_name",), links=[link(1, -10, 0, 5)]
    )
    document = ui(
        node(1, "Text", "x.pt"), node(2, "s", "host.pt", links={"vae_name": 4}), links=[[4, 1, 0, 2, 0, "S"]], subgraphs=[inner]
    )  # fmt: skip
    assert value(nodes(document)["2:5"], "vae_name").fed_by == ("1",)


def test_saved_names_are_another_spot_of_the_value() -> None:
    document = ui(node(1, "VAELoader", "v.pt", widgets_values_named={"vae_name": "v.pt"}))
    assert [spot.keys[-2:] for spot in value(nodes(document)["1"], "vae_name").spots] == [
        ("widgets_values", 0),
        ("widgets_values_named", "vae_name"),
    ]


def test_what_cannot_be_read_is_reported_and_costs_itself() -> None:
    found = unfolded(ui(node(1, "VAELoader", "v.pt"), node(2, None), 7))  # type: ignore[arg-type]
    assert [each.path for each in found.nodes] == [("1",)]
    assert len(found.oddities) == 2
    assert all(odd.unread for odd in found.oddities)


def test_what_multiplies_itself_has_an_end() -> None:
    tens = [subgraph(f"s{n}", *(node(k, f"s{n + 1}") for k in range(10))) for n in range(30)]
    found = unfolded(
        ui(node(1, "s0"), subgraphs=[*tens, subgraph("s30", node(1, "VAELoader", "v.pt"))]), Budget(nodes=500)
    )
    assert len(found.nodes) <= 500
    assert found.oddities[-1].unread


def test_a_node_with_endless_values_is_cut() -> None:
    found = unfolded(ui(node(1, "X", *["x.pt"] * (MOST_VALUES + 5))))
    assert len(found.nodes[0].values) == MOST_VALUES
    assert found.oddities[0].unread


def test_two_nodes_of_one_id_are_both_kept() -> None:
    assert len(nodes(ui(node(1, "VAELoader", "a.pt"), node(1, "VAELoader", "b.pt")))) == 2


def test_a_name_that_holds_something_else_than_the_order_is_reported() -> None:
    found = unfolded(ui(node(1, "VAELoader", "new.pt", widgets_values_named={"vae_name": "old.pt"})))
    assert value(found.nodes[0], "vae_name").content == "new.pt"
    assert "old.pt" in found.oddities[0].why
    assert not found.oddities[0].unread
