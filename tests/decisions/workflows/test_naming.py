"""Which input a saved value belongs to."""

from __future__ import annotations

from model_manager.decisions.workflows.naming import names
from model_manager.facts.loaders import loader_of, parsed


def test_a_known_type_has_a_known_order() -> None:
    assert names(["a.pt", "b.pt", "flux", "default", 1], loader_of("DualCLIPLoader"), None, []) == [
        "clip_name1", "clip_name2", "type", "device", "",
    ]  # fmt: skip


def test_an_order_in_which_a_model_is_a_number_is_not_this_nodes_order() -> None:
    assert names([7, "a.pt"], loader_of("VAELoader"), {"seed": 7, "vae_name": "a.pt"}, []) == ["seed", "vae_name"]


def test_saved_names_are_used_where_values_tell_them_apart() -> None:
    assert names(["x", 3], None, {"b": "x", "a": 3}, []) == ["b", "a"]
    assert names(["x", "y", "x"], None, {"a": "x", "b": "y"}, []) == ["a", "b", "a"]
    assert names(["x", "x", 1], None, {"a": "x", "b": "x"}, []) == ["", "", ""]


def test_the_list_of_inputs_counts_when_it_is_complete() -> None:
    assert names([5, "randomize", "m.pt"], None, None, ["seed", "model_name"]) == ["seed", "", "model_name"]
    assert names([5, "m.pt"], None, None, ["model_name"]) == ["", ""]
    assert names([], parsed("a=vae"), None, []) == []


def test_a_custom_node_that_names_its_inputs_knows_better() -> None:
    loader = loader_of("WanVideoVAELoader")
    assert names(["bf16", "v.pt"], loader, None, ["precision", "model_name"]) == ["precision", "model_name"]
    assert names(["v.pt", "bf16"], loader, None, ["model_name"]) == ["model_name", "precision"]
    assert names(["v.pt"], loader_of("VAELoader"), None, ["other"]) == ["vae_name"]
