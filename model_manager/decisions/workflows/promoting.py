"""What does one instance of a subgraph set in place of what the definition holds?

An instance saves the values of the widgets that its inputs promote, in the order of those inputs (frontend 1.58,
SubgraphNode.serialize). Files of earlier frontends list `[node, widget]` pairs in `properties.proxyWidgets` instead, and
save the values in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from model_manager.facts.graph import NodePath
from model_manager.facts.workflow import Spot

_PREFIX = re.compile(r"\s*\d+\s*:\s*(?=\S)")
"""How legacy names of promoted widgets begin: the ids of the nodes that they pass."""

Keys = tuple[str | int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an input gets from outside its node: a value, or the node that makes one. `mirrored`: the value is written back
    into the widget that it feeds, so both hold it."""

    content: Any = None
    spots: tuple[Spot, ...] = ()
    known: bool = False
    source: NodePath = ()
    mirrored: bool = False

    @property
    def empty(self) -> bool:
        return not self.known and not self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What an instance sets: by the number of the definition's input, or by inner node and widget."""

    slots: dict[int, Held] = field(default_factory=dict)
    overrides: dict[tuple[str, str], Held] = field(default_factory=dict)


def promoted(instance: dict[str, Any], definition: dict[str, Any], keys: Keys) -> Host:
    """The values that this instance sets; those of the wrong kind are left to the definition."""
    proxies = _proxies(instance)
    values = instance.get("widgets_values")
    if isinstance(values, dict):
        return Host(slots=_by_name(values, definition, keys, "widgets_values"))
    if proxies and isinstance(values, list):
        return _by_proxy(proxies, values, definition, keys)
    slots = _widget_slots(definition)
    named = instance.get("widgets_values_named")
    if isinstance(values, list) and (len(values) == len(slots) or not isinstance(named, dict)):
        pairs = zip(slots, enumerate(values), strict=False)
        by_name = _by_name(named, definition, keys, "widgets_values_named") if isinstance(named, dict) else {}
        return Host(
            slots={
                slot: _twice(_held(value, keys, "widgets_values", place), by_name.get(slot))
                for slot, (place, value) in pairs
                if value is not None
            }
        )
    if isinstance(named, dict):
        return Host(slots=_by_name(named, definition, keys, "widgets_values_named"))
    return Host()


def _twice(held: Held, named: Held | None) -> Held:
    """A value with the spot where it is saved once more under its name."""
    if named is None or named.content != held.content:
        return held
    return replace(held, spots=(*held.spots, *named.spots))


def _by_name(values: dict[str, Any], definition: dict[str, Any], keys: Keys, where: str) -> dict[int, Held]:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in _list(definition.get("inputs"))]
    return {
        slot: _held(values[name], keys, where, name)
        for slot, name in enumerate(names)
        if isinstance(name, str) and values.get(name) is not None
    }


def _by_proxy(proxies: list[tuple[str, str]], values: list[Any], definition: dict[str, Any], keys: Keys) -> Host:
    by_target = {target: slot for slot, targets in _targets(definition).items() for target, _ in targets}
    by_name = {
        entry.get("name"): slot for slot, entry in enumerate(_list(definition.get("inputs"))) if isinstance(entry, dict)
    }
    slots: dict[int, Held] = {}
    overrides: dict[tuple[str, str], Held] = {}
    for place, ((node, widget), value) in enumerate(zip(proxies, values, strict=False)):
        if value is None:
            continue
        held = _held(value, keys, "widgets_values", place)
        slot = by_name.get(widget) if node == "-1" else by_target.get((node, widget))
        if slot is None:
            overrides[node, _PREFIX.sub("", widget)] = held
        else:
            slots[slot] = held
    return Host(slots=slots, overrides=overrides)


def _proxies(instance: dict[str, Any]) -> list[tuple[str, str]]:
    properties = instance.get("properties")
    found = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    return [(str(row[0]), str(row[1])) for row in _list(found) if isinstance(row, list) and len(row) >= 2]


def _widget_slots(definition: dict[str, Any]) -> list[int]:
    """The inputs of a definition that lead to a widget, in their order."""
    return [
        slot for slot, targets in sorted(_targets(definition).items()) if any(is_widget for _, is_widget in targets)
    ]


def _targets(definition: dict[str, Any]) -> dict[int, list[tuple[tuple[str, str], bool]]]:
    """Input of the definition → what it feeds: (node, widget or input), and whether that is a widget."""
    entrance = definition.get("inputNode")
    start = str(entrance.get("id", -10)) if isinstance(entrance, dict) else "-10"
    slot_of = {link: slot for link, origin, slot in _origins(definition) if origin == start}
    targets: dict[int, list[tuple[tuple[str, str], bool]]] = {}
    for node in _list(definition.get("nodes")):
        for entry in _list(node.get("inputs")) if isinstance(node, dict) else []:
            if isinstance(entry, dict) and (slot := slot_of.get(str(entry.get("link")))) is not None:
                widget = entry.get("widget")
                name = widget.get("name") if isinstance(widget, dict) else entry.get("name")
                targets.setdefault(slot, []).append(((str(node.get("id")), str(name)), isinstance(widget, dict)))
    return targets


def _origins(definition: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    for row in _list(definition.get("links")):
        if isinstance(row, dict) and isinstance(row.get("origin_slot"), int):
            yield str(row.get("id")), str(row.get("origin_id")), row["origin_slot"]
        elif isinstance(row, list) and len(row) >= 4 and isinstance(row[2], int):
            yield str(row[0]), str(row[1]), row[2]


def _held(content: Any, keys: Keys, *more: str | int) -> Held:
    return Held(content=content, spots=() if keys is None else (Spot(keys=(*keys, *more)),), known=True)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
