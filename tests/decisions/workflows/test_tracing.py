"""What values are passed on to."""

from __future__ import annotations

from model_manager.decisions.workflows.tracing import FARTHEST, deaf, hints, unsettled
from model_manager.facts.graph import Feed, Node


def chain(length: int) -> list[Node]:
    """A loader whose name comes through `length` nodes."""
    nodes = [Node(path=("0",), type="VAELoader", feeds=(Feed(input="vae_name", source=("1",)),))]
    return nodes + [
        Node(path=(str(n),), type="Pass", feeds=(Feed(input="text", source=(str(n + 1),)),))
        for n in range(1, length + 1)
    ]


def test_a_use_is_known_as_far_as_names_travel() -> None:
    found = hints(chain(FARTHEST + 5), None)
    assert len(found) == FARTHEST + 1
    assert found["1",].folders == ("vae",)
    assert found["1",].sure
    assert "vae_name of VAELoader" in found["1",].use


def test_nodes_that_do_not_run_use_nothing_and_names_of_inputs_are_less_sure() -> None:
    muted = Node(path=("0",), type="VAELoader", why="muted", feeds=(Feed(input="vae_name", source=("1",)),))
    asks = Node(
        path=("2",), type="Unknown", feeds=(Feed(input="lora_name", source=("3",)), Feed(input="x", source=("1",)))
    )
    found = hints([muted, asks, Node(path=("1",), type="A"), Node(path=("3",), type="B")], None)
    assert {path: (hint.folders, hint.sure) for path, hint in found.items()} == {("3",): (("loras",), False)}


def test_a_circle_ends() -> None:
    circle = [
        Node(path=("0",), type="VAELoader", feeds=(Feed(input="vae_name", source=("1",)),)),
        Node(path=("1",), type="P", feeds=(Feed(input="t", source=("1",)),)),
    ]
    assert set(hints(circle, None)) == {("1",)}
    assert len(list(unsettled(circle, None, set()))) == 1


def test_a_name_that_nobody_holds_is_reported() -> None:
    nodes = chain(3)
    ((node, feed),) = unsettled(nodes, None, set())
    assert (node.path, feed.input) == (("0",), "vae_name")
    assert list(unsettled(nodes, None, {("3",)})) == []


def taking(number: str, kind: str, **inputs: str) -> Node:
    return Node(path=(number,), type=kind, feeds=tuple(Feed(input=name, source=(at,)) for name, at in inputs.items()))


def test_who_ends_at_comfyuis_own_encoders_is_heard_by_nobody() -> None:
    texts = [taking("1", "Text"), taking("2", "Join", a="1"), taking("3", "CLIPTextEncode", clip="9", text="2")]
    assert deaf(texts) >= {("1",), ("2",)}
    shown = taking("4", "PreviewAny", source="2")
    assert deaf([*texts, shown]) >= {("1",), ("2",)}
    loads = taking("5", "ImpactWildcardEncode", model="8", clip="9", wildcard_text="2")
    assert not deaf([*texts, loads]) & {("1",), ("2",)}
    assert ("3",) not in deaf([taking("3", "Text")]), "what nobody takes is not known to be unheard"


def test_texts_in_a_circle_end() -> None:
    assert deaf([taking("1", "A", t="2"), taking("2", "B", t="1")]) == {("1",), ("2",)}
    loads = taking("3", "LoraTagLoader", model="9", text="1")
    assert not deaf([taking("1", "A", t="2"), taking("2", "B", t="1"), loads]) & {("1",), ("2",)}
