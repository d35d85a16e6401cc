"""What is the output of a node used for, when it is passed on as the name of a model?"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Final

from model_manager.decisions.workflows.recognising import Hint
from model_manager.facts.builtin_nodes import BUILTIN
from model_manager.facts.graph import Feed, Node, NodePath
from model_manager.facts.input_names import folder_of
from model_manager.facts.loaders import Live, loader_of
from model_manager.facts.loaders_custom import DOWNLOADERS

FARTHEST: Final = 8
"""Nodes that a name passes on its way to the loader: switches, joins of text, reroutes."""

MOST: Final = 64
"""Nodes that are asked where a name comes from."""

_HOLDS_MODEL: Final = re.compile(r"model|clip|pipe|lora|basic|stack", re.IGNORECASE)


def hints(nodes: Iterable[Node], live: Live | None) -> dict[NodePath, Hint]:
    """For nodes that feed an input which takes a model: the folder, and who takes it."""
    by_path = {node.path: node for node in nodes}
    found: dict[NodePath, Hint] = {}
    queue: deque[tuple[NodePath, Hint, int]] = deque()
    for node in by_path.values():
        for feed in node.feeds:
            if not node.why and (hint := _wanted(node, feed.input, live)):
                queue.append((feed.source, hint, 0))
    while queue:
        path, hint, steps = queue.popleft()
        source = by_path.get(path)
        if (
            source is None
            or path in found
            or source.type in DOWNLOADERS
            or (loader_of(source.type, live) is not None and not hint.sure)
        ):
            continue
        found[path] = hint
        if hint.sure and steps < FARTHEST:
            queue.extend((feed.source, hint, steps + 1) for feed in source.feeds)
    return found


def unsettled(nodes: Iterable[Node], live: Live | None, settled: Set[NodePath]) -> Iterator[tuple[Node, Feed]]:
    """Inputs that take a model and get its name from nodes that hold none: it is known only when the workflow runs.

    `settled` are the nodes that do name a model.
    """
    by_path = {node.path: node for node in nodes}
    for node in by_path.values():
        for feed in node.feeds if not node.why else ():
            hint = _wanted(node, feed.input, live)
            if hint and hint.sure and settled.isdisjoint(_upstream(feed.source, by_path)):
                yield node, feed


def deaf(nodes: Collection[Node]) -> frozenset[NodePath]:
    """Nodes whose text ends at ComfyUI's own text encoders, or where texts are shown: no tag in it is loaded by anybody.

    Who loads what a tag names has to take a model, or something that holds one.
    """
    feeds = {node.path: node.feeds for node in nodes if not node.why}
    taken = {feed.source for each in feeds.values() for feed in each}
    passing = {node.path: feeds[node.path] for node in nodes if not node.why and not is_encoder(node.type)}
    queue = deque(path for path, each in passing.items() if any(_HOLDS_MODEL.search(feed.input) for feed in each))
    heard: set[NodePath] = set()
    while queue:
        sources = {feed.source for feed in passing.get(queue.popleft(), ())} - heard
        heard |= sources
        queue.extend(sources)
    return frozenset(taken - heard)


def is_encoder(node_type: str) -> bool:
    """Whether this is a text encoder that ComfyUI brings along; they read 'embedding:' and ignore '<lora:…>'."""
    return "TextEncode" in node_type and node_type in BUILTIN


def _upstream(path: NodePath, by_path: Mapping[NodePath, Node]) -> set[NodePath]:
    """The nodes that a value may come from, the nearest MOST of them."""
    found: set[NodePath] = set()
    queue = deque([path])
    while queue and len(found) < MOST:
        path = queue.popleft()
        if path not in found:
            found.add(path)
            queue.extend(feed.source for feed in (by_path[path].feeds if path in by_path else ()))
    return found


def _wanted(node: Node, name: str, live: Live | None) -> Hint | None:
    loader = loader_of(node.type, live)
    widget = loader.named(name) if loader else None
    use = f"it feeds {name} of {node.type} (node {':'.join(node.path)})"
    if widget is not None and widget.folders:
        return Hint(folders=widget.folders, use=use, sure=True)
    folder = folder_of(name) if loader is None else ""
    return Hint(folders=(folder,), use=use, sure=False) if folder else None
