"""A workflow after unfolding: every node that would run, with the value of each input, in whatever form it was saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_manager.facts.identity import Pin
from model_manager.facts.workflow import Form, Oddity, Spot, Wrapping

NodePath = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What one input holds. `place` is its number among the saved values, -1 when they have names.

    `fed_by` is the node whose output comes instead of `content`, which is then stale.
    """

    input: str
    content: Any
    spots: tuple[Spot, ...] = ()
    place: int = -1
    fed_by: NodePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file that a node, or the workflow, lists among its models. `folder` is canonical, '' when it is not said."""

    name: str
    folder: str = ""
    url: str = ""
    pin: Pin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """An input that takes what another node sends."""

    input: str
    source: NodePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node, once per instance of the subgraph around it. `why` says what keeps it from running, '' when nothing does."""

    path: NodePath
    type: str
    values: tuple[Value, ...] = ()
    feeds: tuple[Feed, ...] = ()
    listed: tuple[Listed, ...] = ()
    why: str = ""
    package: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfolded:
    """All nodes of one graph, what the graph itself lists, and what had to be left out."""

    nodes: tuple[Node, ...] = ()
    listed: tuple[Listed, ...] = ()
    oddities: tuple[Oddity, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A workflow inside a document, not read yet. `keys` lead to it, and are None when it lies in a string of JSON."""

    form: Form
    body: dict[str, Any]
    wrapping: Wrapping = ""
    entry: NodePath = ()
    keys: tuple[str | int, ...] | None = ()


@dataclass(slots=True)
class Budget:
    """How much of a document is still looked at: what a person draws needs a hundredth of it."""

    nodes: int = 20_000
    values: int = 300_000

    def spend_node(self) -> bool:
        self.nodes -= 1
        return self.nodes >= 0

    @property
    def spent(self) -> bool:
        return self.nodes < 0 or self.values < 0

    def spend(self, values: int = 1) -> bool:
        self.values -= values
        return self.values >= 0
