"""Which nodes does a drawn workflow really have, and what does each input hold?

Rules of the frontend 1.58 (ExecutableNodeDTO, SubgraphNode, graphToPrompt): a subgraph counts once per instance, its nodes
are called `outer:inner`; what an instance promotes overrides what its definition holds; nodes of mode 2 (never) and 4
(bypassed), and all inside such an instance, are not executed; a PrimitiveNode writes its value into what it feeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from model_manager.decisions.workflows.listing import listed, package_of
from model_manager.decisions.workflows.naming import names
from model_manager.decisions.workflows.promoting import Held, Host, promoted
from model_manager.decisions.workflows.recognising import has_ending
from model_manager.errors import printable
from model_manager.facts.graph import Budget, Feed, Node, NodePath, Unfolded, Value
from model_manager.facts.loaders import Live, loader_of
from model_manager.facts.workflow import Oddity, Spot

Keys = tuple[str | int, ...] | None

DEEPEST: Final = 32
"""Subgraphs within subgraphs; what contains itself ends here."""

MOST_VALUES: Final = 20_000
"""Values of one node that are read; the largest of the official templates has some fifty."""

_ASIDE: Final = {2: "the node is muted", 4: "the node is bypassed"}
_ABSENT: Final = Held()
_VIRTUAL: Final = ("PrimitiveNode", "Reroute", "GetNode", "SetNode")
"""Nodes that only the editor knows: what they hold shows at those that they lead to."""


@dataclass(slots=True)
class _Scope:
    """One instance of a graph, or the workflow itself."""

    path: NodePath
    nodes: dict[str, tuple[dict[str, Any], Keys]]
    links: dict[str, tuple[str, int]]
    entrance: str
    outer: dict[int, Held] = field(default_factory=dict)
    overrides: dict[tuple[str, str], Held] = field(default_factory=dict)
    why: str = ""
    within: tuple[str, ...] = ()


class Unfolding:
    """One workflow on its way to a list of nodes. `keys` lead to its graph, None when nothing can be patched there."""

    def __init__(self, body: dict[str, Any], entry: NodePath, keys: Keys, live: Live | None, budget: Budget) -> None:
        self._live = live
        self._budget = budget
        self._nodes: list[Node] = []
        self._oddities: list[Oddity] = []
        self._definitions = _definitions(body, keys)
        self._top = _scope(body, keys, entry, self._oddities)
        self._listed = listed(body.get("models"))

    def unfolded(self) -> Unfolded:
        self._enter(self._top)
        if self._budget.spent:
            self._oddities.append(
                Oddity(why="it unfolds to more nodes than are read; the rest was left out", unread=True)
            )
        return Unfolded(nodes=tuple(self._nodes), listed=self._listed, oddities=tuple(self._oddities))

    def _enter(self, scope: _Scope) -> None:
        for node_id, (node, keys) in scope.nodes.items():
            if not self._budget.spend_node():
                return
            try:
                self._visit(scope, node_id, node, keys)
            except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
                why = f"the node could not be read ({type(error).__name__}: {error})"
                self._odd(why, (*scope.path, node_id), node, unread=True)

    def _visit(self, scope: _Scope, node_id: str, node: dict[str, Any], keys: Keys) -> None:
        node_type = node.get("type")
        if not isinstance(node_type, str):
            raise TypeError("it has no type")
        why = scope.why or _ASIDE.get(_mode(node), "")
        if node_type in self._definitions:
            self._unfold(scope, node_id, node, keys, why)
            return
        package, version = package_of(node)
        values, feeds = ((), ()) if node_type in _VIRTUAL else self._values(scope, node_id, node, keys)
        self._nodes.append(
            Node(
                path=(*scope.path, node_id), type=node_type, values=values, feeds=feeds, why=why,
                listed=listed(_properties(node).get("models")), package=package, version=version,
            )
        )  # fmt: skip

    def _unfold(self, scope: _Scope, node_id: str, node: dict[str, Any], keys: Keys, why: str) -> None:
        definition, inner_keys = self._definitions[node["type"]]
        path = (*scope.path, node_id)
        if node["type"] in scope.within or len(path) > DEEPEST:
            self._odd("the subgraph contains itself", path, node)
            return
        if not self._budget.spend(_size(definition)):
            return
        inner = _scope(definition, inner_keys, path, self._oddities)
        host = promoted(node, definition, keys)
        inner.outer, inner.overrides = self._handed_in(scope, node_id, node, definition, host), host.overrides
        inner.why = "it is inside a subgraph that is muted or bypassed" if why else ""
        inner.within = (*scope.within, node["type"])
        self._enter(inner)

    def _handed_in(
        self, scope: _Scope, node_id: str, node: dict[str, Any], definition: dict[str, Any], host: Host
    ) -> dict[int, Held]:
        """What each input of a subgraph gets from its instance: a link, else the promoted value."""
        linked = {name: self._origin(scope, link) for name, link in _linked(node)}
        handed: dict[int, Held] = {}
        for slot, name in enumerate(_names(definition.get("inputs"))):
            held = linked.get(name, _ABSENT)
            if held.empty:
                held = scope.overrides.get((node_id, name), _ABSENT)
            if held.empty:
                held = host.slots.get(slot, _ABSENT)
            if not held.empty:
                handed[slot] = held
        return handed

    def _values(
        self, scope: _Scope, node_id: str, node: dict[str, Any], keys: Keys
    ) -> tuple[tuple[Value, ...], tuple[Feed, ...]]:
        linked = {name: self._origin(scope, link) for name, link in _linked(node)}
        feeds = tuple(Feed(input=name, source=held.source) for name, held in linked.items() if held.source)
        handed = {name: held for name, held in linked.items() if not held.empty}
        for (owner, name), held in scope.overrides.items():
            if owner == node_id:
                handed.setdefault(name, held)
        values = [self._settled(value, handed) for value in self._saved(node, keys, (*scope.path, node_id))]
        named = {value.input for value in values}
        values += [
            Value(input=name, content=held.content, spots=held.spots)
            for name, held in handed.items()
            if name not in named and not held.source
        ]
        return tuple(values), feeds

    def _settled(self, value: Value, handed: dict[str, Held]) -> Value:
        held = handed.get(value.input) if value.input else None
        if held is None:
            return value
        if held.source:
            return Value(
                input=value.input, content=value.content, spots=value.spots, place=value.place, fed_by=held.source
            )
        both = held.mirrored and held.content == value.content
        spots = (*held.spots, *value.spots) if both else held.spots
        return Value(input=value.input, content=held.content, spots=spots, place=value.place)

    def _saved(self, node: dict[str, Any], keys: Keys, path: NodePath) -> Iterator[Value]:
        """The values that the node itself holds, by name where one is known."""
        saved, by_name = node.get("widgets_values"), node.get("widgets_values_named")
        if isinstance(saved, list):
            yield from self._in_order(node, saved, by_name if isinstance(by_name, dict) else {}, keys, path)
            return
        where = "widgets_values" if isinstance(saved, dict) else "widgets_values_named"
        held = saved if isinstance(saved, dict) else by_name
        for name, content in held.items() if isinstance(held, dict) else ():
            yield Value(input=str(name), content=content, spots=_spot(keys, where, name))

    def _in_order(
        self, node: dict[str, Any], saved: list[Any], by_name: dict[str, Any], keys: Keys, path: NodePath
    ) -> Iterator[Value]:
        if len(saved) > MOST_VALUES:
            self._odd(f"only the first {MOST_VALUES} of its values were read", path, node, unread=True)
            saved = saved[:MOST_VALUES]
        found = names(saved, loader_of(node["type"], self._live), by_name, [name for name, _ in _widgets(node)])
        for place, (name, content) in enumerate(zip(found, saved, strict=True)):
            spots = _spot(keys, "widgets_values", place)
            again = by_name.get(name)
            if isinstance(content, str) and again == content:
                spots += _spot(keys, "widgets_values_named", name)
            elif isinstance(content, str) and isinstance(again, str) and (has_ending(content) or has_ending(again)):
                self._odd(
                    f"it saves '{again}' under the name {name}; '{content}' in its order is what counts", path, node
                )
            yield Value(input=name, content=content, spots=spots, place=place)

    def _odd(self, why: str, path: NodePath, node: dict[str, Any], unread: bool = False) -> None:
        self._oddities.append(Oddity(why=printable(why), node=path, node_type=str(node.get("type", "")), unread=unread))

    def _origin(self, scope: _Scope, link: Any) -> Held:
        """What comes in by a link: a value, the node that makes it, or nothing."""
        for _ in range(DEEPEST):
            origin = scope.links.get(str(link))
            if origin is None:
                return _ABSENT
            source, slot = origin
            if source == scope.entrance:
                return scope.outer.get(slot, _ABSENT)
            node, keys = scope.nodes.get(source, (None, None))
            if node is None or _mode(node) in _ASIDE:
                return _ABSENT
            if node.get("type") in _VIRTUAL[1:]:
                if not self._budget.spend(len(scope.nodes) if node.get("type") == "GetNode" else 1):
                    return _ABSENT
                link = _through(scope, node)
                continue
            return self._made(scope, source, slot, node, keys)
        return _ABSENT

    def _made(self, scope: _Scope, node_id: str, slot: int, node: dict[str, Any], keys: Keys) -> Held:
        if node.get("type") == "PrimitiveNode":
            saved = node.get("widgets_values")
            if isinstance(saved, list) and saved:
                return Held(content=saved[0], spots=_spot(keys, "widgets_values", 0), known=True, mirrored=True)
            return _ABSENT
        path = (*scope.path, node_id)
        if node.get("type") in self._definitions:
            definition, _ = self._definitions[str(node["type"])]
            if not self._budget.spend(len(_list(definition.get("links")))):
                return _ABSENT
            inner = next((origin for origin, target in _link_ends(definition) if target == ("-20", slot)), None)
            path = (*path, inner) if inner else path
        return Held(source=path)


def _size(graph: dict[str, Any]) -> int:
    """What it costs to unfold this graph once more: its parts, and the inputs of its nodes."""
    parts = [graph.get(key) for key in ("nodes", "links", "inputs")]
    parts += [node.get("inputs") for node in _list(parts[0]) if isinstance(node, dict)]
    return sum(len(part) for part in parts if isinstance(part, (list, dict)))


def _scope(graph: dict[str, Any], keys: Keys, path: NodePath, oddities: list[Oddity]) -> _Scope:
    entrance = graph.get("inputNode")
    entrance_id = str(entrance.get("id", -10)) if isinstance(entrance, dict) else "-10"
    return _Scope(path=path, nodes=_nodes(graph, keys, path, oddities), links=_links(graph), entrance=entrance_id)


def _nodes(
    graph: dict[str, Any], keys: Keys, path: NodePath, oddities: list[Oddity]
) -> dict[str, tuple[dict[str, Any], Keys]]:
    found = graph.get("nodes")
    pairs: Iterable[tuple[Any, Any]] = found.items() if isinstance(found, dict) else enumerate(_list(found))
    nodes: dict[str, tuple[dict[str, Any], Keys]] = {}
    for key, node in pairs:
        if not isinstance(node, dict):
            oddities.append(Oddity(why=f"node {key} is no object", node=path, unread=True))
            continue
        node_id = str(node.get("id", key))
        if node_id in nodes:
            node_id = f"{node_id}#{key}"
        nodes[node_id] = (node, _keys(keys, "nodes", key))
    return nodes


def _definitions(body: dict[str, Any], keys: Keys) -> dict[str, tuple[dict[str, Any], Keys]]:
    definitions = body.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    pairs: Iterable[tuple[Any, Any]] = subgraphs.items() if isinstance(subgraphs, dict) else enumerate(_list(subgraphs))
    return {
        str(subgraph.get("id", key)): (subgraph, _keys(keys, "definitions", "subgraphs", key))
        for key, subgraph in pairs
        if isinstance(subgraph, dict)
    }


def _links(graph: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Id of the link → (id of the node it comes from, its slot), of lists (v0.4) and objects (v1)."""
    found = graph.get("links")
    rows = list(found.values()) if isinstance(found, dict) else _list(found)
    links: dict[str, tuple[str, int]] = {}
    for row in rows:
        if isinstance(row, list) and len(row) >= 4:
            links[str(row[0])] = (str(row[1]), _number(row[2]))
        elif isinstance(row, dict) and "origin_id" in row:
            links[str(row.get("id"))] = (str(row["origin_id"]), _number(row.get("origin_slot")))
    return links


def _link_ends(graph: dict[str, Any]) -> Iterator[tuple[str, tuple[str, int]]]:
    for row in _list(graph.get("links")):
        if isinstance(row, dict):
            yield str(row.get("origin_id")), (str(row.get("target_id")), _number(row.get("target_slot")))


def _linked(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The inputs that have a link: name of the widget, or of the input, and id of the link."""
    for entry in _list(node.get("inputs")):
        if isinstance(entry, dict) and entry.get("link") is not None:
            widget = entry.get("widget")
            name = widget.get("name") if isinstance(widget, dict) else None
            yield str(name or entry.get("name", "")), entry["link"]


def _widgets(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in _list(node.get("inputs")):
        widget = entry.get("widget") if isinstance(entry, dict) else None
        if isinstance(widget, dict) and isinstance(widget.get("name"), str):
            yield widget["name"], entry


def _through(scope: _Scope, node: dict[str, Any]) -> Any:
    """The link that a Reroute passes on, or that the SetNode of a GetNode's name takes in."""
    if node.get("type") == "GetNode":
        label = _list(node.get("widgets_values"))[:1]
        setters = (other for other, _ in scope.nodes.values() if other.get("type") == "SetNode")
        node = next((other for other in setters if label and _list(other.get("widgets_values"))[:1] == label), {})
    return next((entry.get("link") for entry in _list(node.get("inputs")) if isinstance(entry, dict)), None)


def _names(entries: Any) -> list[str]:
    return [str(entry.get("name", "")) if isinstance(entry, dict) else "" for entry in _list(entries)]


def _properties(node: dict[str, Any]) -> dict[str, Any]:
    properties = node.get("properties")
    return properties if isinstance(properties, dict) else {}


def _mode(node: dict[str, Any]) -> int:
    return _number(node.get("mode"))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _keys(keys: Keys, *more: str | int) -> Keys:
    return None if keys is None else (*keys, *more)


def _spot(keys: Keys, *more: str | int) -> tuple[Spot, ...]:
    return () if keys is None else (Spot(keys=(*keys, *more)),)
