"""What `--json` prints of workflows, rulings and places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from model_manager.facts.resolution import Candidate, Resolved, Ruling
from model_manager.facts.sourcing import Place
from model_manager.facts.workflow import Reference, Workflow

if TYPE_CHECKING:
    from model_manager.cli.workflow.deciding import Work


def reference_shape(reference: Reference) -> dict[str, Any]:
    """One reference; `node` is the path of ids from the outermost subgraph."""
    return {
        "node": list(reference.node),
        "node_type": reference.node_type,
        "input": reference.input or None,
        "text": reference.text,
        "names": list(reference.names),
        "folder": reference.folder or None,
        "folders": list(reference.folders),
        "kind": reference.kind,
        "active": reference.active,
        "evidence": reference.evidence,
        "confidence": reference.confidence,
        "reason": reference.reason,
        "url": reference.url or None,
        "hash": str(reference.pin) if reference.pin else None,
        "writable": bool(reference.spots),
    }


def workflow_shape(workflow: Workflow) -> dict[str, Any]:
    return {
        "form": workflow.form,
        "wrapping": workflow.wrapping or None,
        "nodes": workflow.nodes,
        "references": [reference_shape(reference) for reference in workflow.references],
        "custom_nodes": [
            {"type": node.name, "package": node.package or None, "version": node.version or None, "active": node.active}
            for node in workflow.custom_nodes
        ],
        "oddities": [
            {"why": odd.why, "node": list(odd.node), "node_type": odd.node_type or None} for odd in workflow.oddities
        ],
    }


def work_shape(work: Work) -> dict[str, Any]:
    """What `resolve --dry-run` would do, and what it could not."""
    return {
        "write": [
            {"keys": list(each.spot.keys), "span": each.spot.span, "old": each.old, "new": each.new}
            for each in work.edits
        ],
        "models": [
            {
                "folder": model.path.folder,
                "name": model.path.name,
                "size": model.size.bytes if model.size else None,
                "hash": str(model.pin) if model.pin else None,
                "urls": [source.url for source in model.sources],
            }
            for model in work.models.values()
        ],
        "left": [{"model": label, "why": why} for label, why in work.left],
        "unclear": [{"model": label, "choices": list(shown)} for label, shown in work.unclear],
    }


def resolved_shape(each: Resolved, places: Iterable[tuple[Ruling, tuple[Place, ...]]] = ()) -> dict[str, Any]:
    """A reference with what became of it. `places`: where files that are missing could come from."""
    offered = {id(ruling): found for ruling, found in places}
    return {
        **reference_shape(each.reference),
        "state": each.state,
        "files": [
            {**ruling_shape(ruling), "places": [place_shape(place) for place in offered.get(id(ruling), ())]}
            for ruling in each.rulings
        ],
    }


def ruling_shape(ruling: Ruling) -> dict[str, Any]:
    return {
        "name": ruling.wish.name,
        "state": ruling.state,
        "why": ruling.why,
        "loaded": ruling.loaded.file if ruling.loaded else None,
        "candidates": [candidate_shape(candidate) for candidate in ruling.candidates],
    }


def candidate_shape(candidate: Candidate) -> dict[str, Any]:
    """`value`: what the workflow must say so that this file is loaded; null: it must be linked first."""
    return {
        "file": candidate.known.file,
        "folder": candidate.known.folder,
        "name": candidate.known.name,
        "by": candidate.by,
        "value": candidate.value,
        "why": candidate.why,
    }


def place_shape(place: Place) -> dict[str, Any]:
    return {
        "url": place.url,
        "teller": place.teller,
        "weight": place.weight,
        "why": place.why,
        "hash": str(place.pin) if place.pin else None,
        "size": place.size,
        "gated": place.gated,
    }
