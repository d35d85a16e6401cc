"""Where in this document is a workflow, and in which form?

People hand over what their tools gave them: the editor's file, a prompt, an answer of `/history`, a job of a queue. All of
them hold a graph somewhere; it is known by its shape, not by the key above it.
"""

from __future__ import annotations

import re
from collections import deque
from itertools import islice
from typing import Any, Final

from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.graph import Graph
from model_manager.facts.workflow import Wrapping

DEEPEST: Final = 9
"""How many keys a graph may lie below the top: a job in a list of a queue, in its payload, needs six."""

MOST: Final = 200_000
"""Values that are looked at on the way to the graphs."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_TEXTS: Final = frozenset(
    {"prompt", "workflow", "extra_pnginfo", "workflow_json", "workflow_api", "data", "payload", "json"}
)
"""Keys whose text may be JSON once more (metadata of pictures, columns of databases)."""


def graphs(document: object) -> list[Graph]:
    """Every graph of the document, outermost first. An empty list when there is none."""
    found: list[Graph] = []
    queue: deque[tuple[Any, tuple[str | int, ...], bool]] = deque([(document, (), True)])
    looked = 0
    while queue and looked < MOST:
        value, keys, patchable = queue.popleft()
        looked += 1
        if graph := _graph(value, keys, patchable, document):
            found.append(graph)
        elif len(keys) < DEEPEST:
            queue.extend(_below(value, keys, patchable))
    return found


def _graph(value: Any, keys: tuple[str | int, ...], patchable: bool, document: object) -> Graph | None:
    wrapping = _wrapping(document, keys)
    place = keys if patchable else None
    if isinstance(value, list) and keys == () and _are_nodes(value):
        return Graph(form="ui", body={"nodes": value}, keys=None)
    if not isinstance(value, dict):
        return None
    if _is_drawn(value):
        app = not wrapping and isinstance(extra := value.get("extra"), dict) and bool(extra.get("linearMode"))
        return Graph(form="ui", body=value, wrapping="app" if app else wrapping, entry=_entry(keys), keys=place)
    if _is_prompt(value):
        return Graph(form="api", body=value, wrapping=wrapping, entry=_entry(keys), keys=place)
    return None


def _is_drawn(value: dict[str, Any]) -> bool:
    nodes = value.get("nodes")
    if isinstance(nodes, dict):
        nodes = list(nodes.values())
    if not isinstance(nodes, list):
        return False
    if not nodes:
        return "links" in value or "last_node_id" in value or "definitions" in value
    return _are_nodes(nodes) or ("links" in value and "version" in value)


def _are_nodes(nodes: list[Any]) -> bool:
    return any(isinstance(node, dict) and isinstance(node.get("type"), str) and "id" in node for node in nodes[:50])


def _is_prompt(value: dict[str, Any]) -> bool:
    first = islice(value.values(), 50)
    return any(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in first)


def _below(value: Any, keys: tuple[str | int, ...], patchable: bool) -> list[tuple[Any, tuple[str | int, ...], bool]]:
    if isinstance(value, dict):
        return [
            (_opened(key, inner), (*keys, key), patchable and not isinstance(inner, str))
            for key, inner in value.items()
        ]
    if isinstance(value, list):
        return [(inner, (*keys, place), patchable) for place, inner in enumerate(value)]
    return []


def _opened(key: str, value: Any) -> Any:
    """What a text holds when it is JSON; else the value itself."""
    if not isinstance(value, str) or key not in _TEXTS or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return wire.loads_lenient(value.encode("utf-8", "surrogatepass"), key)
    except BadRecord:
        return value


def _wrapping(document: object, keys: tuple[str | int, ...]) -> Wrapping:
    if not keys:
        return ""
    if isinstance(keys[0], str) and _UUID.fullmatch(keys[0]):
        return "history"
    outer = document.get(keys[0]) if isinstance(document, dict) and isinstance(keys[0], str) else None
    if isinstance(outer, dict) and ("outputs" in outer or "status" in outer):
        return "history"
    return "prompt" if keys in (("prompt",), ("output",), ("workflow",)) else "job"


def _entry(keys: tuple[str | int, ...]) -> tuple[str, ...]:
    """What tells the workflows of one document apart: the id in a history, the place in a list."""
    return tuple(str(key) for key in keys[:2] if isinstance(key, int) or _UUID.fullmatch(key))
