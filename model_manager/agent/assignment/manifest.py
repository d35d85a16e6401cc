"""model-manifest.json: what an assignment needs, in the shape that other tools of the fleet read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_manager.facts import wire
from model_manager.facts.model import Requirements, Wanted
from model_manager.sources.https import without_query


def write_manifest(path: Path, requirements: Requirements, now: str) -> None:
    """Write it beside and rename, so that no reader sees half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(wire.dumps(manifest(requirements, now)))
    temporary.replace(path)


def manifest(requirements: Requirements, now: str) -> dict[str, Any]:
    """The manifest as JSON values; `fileSize` in bytes, `total_size_gb` in 10^9 bytes."""
    assignment = requirements.assignment
    sizes = [wanted.model.size.bytes for wanted in requirements.wanted if wanted.model.size]
    return {
        "timestamp": now,
        "source": {
            "workflow_ids": assignment.workflows,
            "collection_ids": assignment.collections,
            "components": assignment.components,
            "models": assignment.models,
        },
        "models": [_model(wanted) for wanted in requirements.wanted],
        "problems": [f"{problem.subject}: {problem.why}" for problem in requirements.problems],
        "total_models": len(requirements.wanted),
        "total_size_gb": round(sum(sizes) / 1e9, 3),
    }


def _model(wanted: Wanted) -> dict[str, Any]:
    model = wanted.model
    token = next((source.token for source in model.sources if source.token), None)
    return {
        "name": model.name,
        "downloadUrl": without_query(model.sources[0].url) if model.sources else None,
        "saveTo": f"models/{model.path}",
        "fileSize": model.size.bytes if model.size else None,
        "isAuthReq": model.gated,
        "authEnvVar": token,
        "hash": model.pin.hex if model.pin else None,
        "required": wanted.required,
        "source": wanted.needed_by[0] if wanted.needed_by else "machine",
        "needed_by": wanted.needed_by,
    }
