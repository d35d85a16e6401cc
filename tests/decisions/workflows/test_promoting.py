"""What an instance of a subgraph sets."""

from __future__ import annotations

from model_manager.decisions.workflows.promoting import promoted
from tests.decisions.workflows.drawing import link, node, subgraph

DEFINITION = subgraph(
    "s", node(5, "KSampler", links={"seed": 2}, plain={"model": 1}), node(6, "VAELoader", "v.pt", links={"vae_name": 3}),
    inputs=("model", "seed", "vae"), links=[link(1, -10, 0, 5), link(2, -10, 1, 5), link(3, -10, 2, 6)],
)  # fmt: skip


def test_values_belong_to_the_inputs_that_lead_to_widgets_in_order() -> None:
    host = promoted(node(1, "s", 42, "mine.pt"), DEFINITION, ("nodes", 0))
    assert {slot: held.content for slot, held in host.slots.items()} == {1: 42, 2: "mine.pt"}
    assert host.slots[2].spots[0].keys == ("nodes", 0, "widgets_values", 1)


def test_an_instance_without_values_leaves_them_to_the_definition() -> None:
    assert promoted(node(1, "s"), DEFINITION, ()).slots == {}
    assert 2 not in promoted(node(1, "s", 42, None), DEFINITION, ()).slots


def test_names_settle_it_when_the_numbers_do_not_agree() -> None:
    instance = node(1, "s", "mine.pt", widgets_values_named={"vae": "mine.pt"})
    assert {slot: held.content for slot, held in promoted(instance, DEFINITION, ()).slots.items()} == {2: "mine.pt"}
    by_name = promoted(node(1, "s", saved={"vae": "mine.pt"}), DEFINITION, ())
    assert by_name.slots[2].spots[0].keys == ("widgets_values", "vae")


def test_proxies_name_inner_widgets_or_inputs() -> None:
    proxies = [["6", "vae_name"], ["-1", "seed"], ["5", "4: cfg"], ["5", "steps"]]
    instance = node(1, "s", "mine.pt", 7, 3.5, None, properties={"proxyWidgets": proxies})
    host = promoted(instance, DEFINITION, None)
    assert {slot: held.content for slot, held in host.slots.items()} == {2: "mine.pt", 1: 7}
    assert {key: held.content for key, held in host.overrides.items()} == {("5", "cfg"): 3.5}
    assert host.slots[2].spots == ()


def test_a_value_that_is_saved_by_name_too_has_both_spots() -> None:
    instance = node(1, "s", 42, "mine.pt", widgets_values_named={"seed": 41, "vae": "mine.pt"})
    slots = promoted(instance, DEFINITION, ()).slots
    assert [spot.keys for spot in slots[2].spots] == [("widgets_values", 1), ("widgets_values_named", "vae")]
    assert len(slots[1].spots) == 1
