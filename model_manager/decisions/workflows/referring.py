"""Which models does this workflow refer to?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from model_manager.decisions.workflows.collecting import Collecting
from model_manager.decisions.workflows.listing import package_of
from model_manager.decisions.workflows.recognising import Hint, by_name, selected
from model_manager.decisions.workflows.tracing import deaf, hints, unsettled
from model_manager.decisions.workflows.unfolding import Unfolding
from model_manager.decisions.workflows.unwrapping import graphs
from model_manager.errors import BadRecord, BadWorkflow, printable
from model_manager.facts import wire
from model_manager.facts.builtin_nodes import BUILTIN
from model_manager.facts.graph import Budget, Feed, Graph, Listed, Node, NodePath, Unfolded, Value
from model_manager.facts.loaders import Live, loader_of
from model_manager.facts.workflow import NodeType, Oddity, Reference, Spot, Workflow

MAX_BYTES = 64 * 1024 * 1024
"""Of a workflow's file; the largest of the official templates has half a million."""


def read(data: bytes, what: str, live: Live | None = None) -> Workflow:
    """The models that the bytes of a file refer to. Raises BadWorkflow(what) when they are no workflow."""
    if len(data) > MAX_BYTES:
        raise BadWorkflow(name=what, why=f"it is larger than {MAX_BYTES} bytes")
    try:
        document = wire.loads_lenient(data, what)
    except BadRecord as error:
        raise BadWorkflow(**error.facts) from None
    return referred(document, live, what)


def carried(
    what: str,
    document: bytes | None,
    prompt: bytes | None = None,
    workflow: bytes | None = None,
    live: Live | None = None,
) -> Workflow:
    """What a file says that is JSON itself (`document`), or that carries a prompt, a drawing or both. Raises BadWorkflow."""
    texts = [text for text in (document, prompt, workflow) if text is not None][: 1 if document is not None else 2]
    if not texts:
        raise BadWorkflow(name=what, why="it carries neither a workflow nor a prompt")
    found = [read(text, what, live) for text in texts]
    return together(*found) if len(found) == 2 else found[0]


def referred(document: object, live: Live | None = None, what: str = "the workflow") -> Workflow:
    """The models that decoded JSON refers to, in whatever form and wrapping the workflow comes.

    Several prompts of one document (a history) become one Workflow, whose node paths begin with the id of the prompt. A
    prompt that comes with its drawing is read as `together` says. Raises BadWorkflow(what) when there is no workflow in it.
    """
    found = graphs(document)
    if not found:
        raise BadWorkflow(name=what, why="it holds neither nodes of the editor nor a prompt with class types")
    budget = Budget()
    entries: dict[NodePath, list[Workflow]] = {}
    several = len({graph.entry for graph in found}) > 1
    for graph in found:
        entries.setdefault(graph.entry, []).append(_workflow(graph, several, live, budget))
    return _joined([_entry(workflows) for workflows in entries.values()])


def together(executed: Workflow, drawn: Workflow) -> Workflow:
    """What a prompt (`executed`, the truth of what ran) and its drawing say together, as a picture carries both.

    The drawing adds addresses, hashes and what did not run. Spots lie in the document of `executed`; those of the drawing
    are dropped, for it is another text.
    """
    listed = tuple(
        Listed(name=name, folder=reference.folder, url=reference.url, pin=reference.pin)
        for reference in drawn.references
        if reference.url or reference.pin
        for name in reference.names[:1]
    )
    ran = {name for reference in executed.references for name in reference.names}
    idle = tuple(
        replace(
            reference,
            active=False,
            spots=(),
            reason=reference.reason if not reference.active else "it was not executed",
        )
        for reference in drawn.references
        if not ran.intersection(reference.names)
    )
    entries = by_name(listed)
    said = tuple(_with_listed(reference, entries) for reference in executed.references)
    return replace(executed, references=(*said, *idle), oddities=(*executed.oddities, *drawn.oddities))


def _entry(workflows: list[Workflow]) -> Workflow:
    """One workflow out of the graphs of one entry: its prompt, its drawing, or both."""
    executed = [workflow for workflow in workflows if workflow.form == "api"]
    drawn = [workflow for workflow in workflows if workflow.form == "ui"]
    if executed and drawn:
        return together(_joined(executed), _joined(drawn))
    return _joined(workflows)


def _joined(workflows: list[Workflow]) -> Workflow:
    if len(workflows) == 1:
        return workflows[0]
    types: dict[str, NodeType] = {}
    for node_type in (node_type for workflow in workflows for node_type in workflow.node_types):
        known = types.get(node_type.name)
        if known:
            node_type = replace(known, count=known.count + node_type.count, active=known.active or node_type.active)
        types[node_type.name] = node_type
    return Workflow(
        form=workflows[0].form, wrapping=workflows[0].wrapping, node_types=tuple(types.values()),
        references=tuple(reference for workflow in workflows for reference in workflow.references),
        oddities=tuple(oddity for workflow in workflows for oddity in workflow.oddities),
        nodes=sum(workflow.nodes for workflow in workflows), complete=all(workflow.complete for workflow in workflows),
    )  # fmt: skip


def _workflow(graph: Graph, several: bool, live: Live | None, budget: Budget) -> Workflow:
    entry = graph.entry if several else ()
    if graph.form == "ui":
        unfolded = Unfolding(graph.body, entry, graph.keys, live, budget).unfolded()
    else:
        unfolded = _prompt(graph.body, entry, graph.keys, budget)
    wanted, unheard = hints(unfolded.nodes, live), deaf(unfolded.nodes)
    references: list[Reference] = []
    oddities = list(unfolded.oddities)
    for node in unfolded.nodes:
        found, odd = _of(node, wanted.get(node.path), live, budget, node.path in unheard)
        references += found
        oddities += odd
    if budget.spent:
        oddities.append(Oddity(why="it holds more than a workflow can; what lies behind was left out", unread=True))
    settled = {reference.node for reference in references}
    oddities += [_unsettled(node, feed) for node, feed in unsettled(unfolded.nodes, live, settled)]
    entries = by_name(unfolded.listed)
    references = [_with_listed(reference, entries) for reference in references]
    references += _only_listed(unfolded.listed, references)
    return Workflow(
        form=graph.form, wrapping=graph.wrapping, references=tuple(references), oddities=tuple(oddities),
        node_types=_types(unfolded.nodes), nodes=len(unfolded.nodes), complete=not any(odd.unread for odd in oddities),
    )  # fmt: skip


def _of(
    node: Node, hint: Hint | None, live: Live | None, budget: Budget, unheard: bool
) -> tuple[list[Reference], list[Oddity]]:
    """What one node says; a node that cannot be read costs itself and nothing else."""
    collecting = Collecting(node, loader_of(node.type, live), hint, budget, unheard)
    try:
        found = collecting.references()
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        why = printable(f"the node could not be read ({type(error).__name__}: {error})")
        return [], [Oddity(why=why, node=node.path, node_type=node.type, unread=True)]
    if live is not None and not live.knows(node.type) and node.type not in BUILTIN and not node.why:
        collecting.oddities.append(
            Oddity(why="this ComfyUI does not have the node", node=node.path, node_type=node.type)
        )
    return found, collecting.oddities


def _unsettled(node: Node, feed: Feed) -> Oddity:
    why = (
        f"its {feed.input} comes from node {':'.join(feed.source)}, which names no model: it is known only when it runs"
    )
    return Oddity(why=printable(why), node=node.path, node_type=node.type, unread=True)


def _prompt(body: dict[str, Any], entry: NodePath, keys: tuple[str | int, ...] | None, budget: Budget) -> Unfolded:
    """The nodes of a prompt: each with its class type and inputs; an input is a value or a link `[node, output]`."""
    nodes, oddities = [], []
    for node_id, node in body.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            if isinstance(node, dict) and ("class_type" in node or "inputs" in node):
                oddities.append(Oddity(why="the node has no class type", node=(*entry, node_id), unread=True))
            continue
        if not budget.spend_node():
            break
        inputs = node.get("inputs")
        values, feeds = [], []
        for name, content in inputs.items() if isinstance(inputs, dict) else ():
            if _is_link(content, body):
                feeds.append(Feed(input=name, source=(*entry, *str(content[0]).split(":"))))
                continue
            spots = () if keys is None else (Spot(keys=(*keys, node_id, "inputs", name)),)
            values.append(Value(input=name, content=content, spots=spots))
        package, version = package_of(node)
        nodes.append(
            Node(
                path=(*entry, *node_id.split(":")), type=node["class_type"], values=tuple(values), feeds=tuple(feeds),
                package=package, version=version,
            )
        )  # fmt: skip
    return Unfolded(nodes=tuple(nodes), oddities=tuple(oddities))


def _is_link(content: Any, body: dict[str, Any]) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 2
        and isinstance(content[0], (str, int))
        and isinstance(content[1], int)
        and str(content[0]) in body
    )


def _with_listed(reference: Reference, entries: Mapping[str, Listed]) -> Reference:
    entry = selected(reference.names[0], entries)
    if entry is None:
        return reference
    folders = reference.folders or ((entry.folder,) if entry.folder else ())
    return replace(reference, folders=folders, url=reference.url or entry.url, pin=reference.pin or entry.pin)


def _only_listed(listed: tuple[Listed, ...], references: Iterable[Reference]) -> Iterator[Reference]:
    """What the workflow lists for itself and no node selects."""
    taken = {name.rpartition("/")[2] for reference in references for name in reference.names}
    for entry in listed:
        name = entry.name.replace("\\", "/")
        if name.rpartition("/")[2] not in taken:
            yield Reference(
                node=(), node_type="", input="", text=entry.name, names=(name,), kind="file", evidence="listed",
                folders=(entry.folder,) if entry.folder else (), confidence="likely", active=False,
                reason="the workflow lists it, and no node selects it", url=entry.url, pin=entry.pin,
            )  # fmt: skip


def _types(nodes: Iterable[Node]) -> tuple[NodeType, ...]:
    types: dict[str, NodeType] = {}
    for node in nodes:
        known = types.get(node.type)
        builtin = node.package == "comfy-core" or (node.type in BUILTIN and not node.package)
        types[node.type] = NodeType(
            name=node.type, package=known.package if known and known.package else node.package,
            version=known.version if known and known.version else node.version, count=known.count + 1 if known else 1,
            active=not node.why or bool(known and known.active), builtin=builtin or bool(known and known.builtin),
        )  # fmt: skip
    return tuple(types.values())
