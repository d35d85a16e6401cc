"""Small workflows for tests, in the forms of the editor and of the prompt."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def node(node_id: int | str, kind: str, *values: Any, **more: Any) -> Json:
    """A node as the editor saves it; `links` names inputs and the links that lead to them."""
    links: dict[str, int] = more.pop("links", {})
    plain: dict[str, int] = more.pop("plain", {})
    inputs = [{"name": name, "type": "COMBO", "widget": {"name": name}, "link": link} for name, link in links.items()]
    inputs += [{"name": name, "type": "STRING", "link": link} for name, link in plain.items()]
    saved: Any = more.pop("saved", list(values))
    return {"id": node_id, "type": kind, "mode": 0, "inputs": inputs, "widgets_values": saved, **more}


def marked(node_id: int, kind: str, package: str, *pairs: tuple[str, Any]) -> Json:
    """A node as editors since 2025 save it: each widget is an input too, and the package is named."""
    inputs = [{"name": name, "type": "COMBO", "widget": {"name": name}, "link": None} for name, _ in pairs]
    properties = {"cnr_id": package, "ver": "1.0.0", "Node name for S&R": kind}
    return node(node_id, kind, *(value for _, value in pairs), properties=properties) | {"inputs": inputs}


def ui(*nodes: Json, links: list[Any] | None = None, subgraphs: list[Json] | None = None, **more: Any) -> Json:
    definitions = {"definitions": {"subgraphs": subgraphs}} if subgraphs else {}
    return {
        "last_node_id": 9, "last_link_id": 9, "nodes": list(nodes), "links": links or [], "groups": [], "config": {},
        "extra": {}, "version": 0.4, **definitions, **more,
    }  # fmt: skip


def subgraph(name: str, *nodes: Json, inputs: tuple[str, ...] = (), links: list[Json] | None = None) -> Json:
    """A definition; its inputs come out of node -10, in order."""
    return {
        "id": name, "name": name, "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "inputs": [{"id": f"slot-{each}", "name": each, "type": "COMBO"} for each in inputs],
        "outputs": [], "nodes": list(nodes), "links": links or [],
    }  # fmt: skip


def link(link_id: int, origin: int, slot: int, target: int, target_slot: int = 0, kind: str = "COMBO") -> Json:
    """A link of schema v1."""
    return {
        "id": link_id, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": target_slot, "type": kind,
    }  # fmt: skip


def prompt(**nodes: tuple[str, Json]) -> Json:
    """A prompt: `n4=("CheckpointLoaderSimple", {...})` is node "4"."""
    return {name.removeprefix("n"): {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
