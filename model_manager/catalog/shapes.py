"""Records as the two families of the EmProps Open API write them. Sizes in GB are 10^9 bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, Need

_PROVIDERS: Final = {"HF_TOKEN": "huggingface", "CIVITAI_TOKEN": "civitai", "CIVITAI_API_KEY": "civitai"}
_POWERS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", re.IGNORECASE)


def model(record: CatalogModel) -> dict[str, Any]:
    """A model of `/models`: camel case, the size as it was written (bytes or text)."""
    return {
        "id": record.id,
        "name": record.name,
        "downloadUrl": record.download_url,
        "saveTo": record.save_to,
        "fileSize": record.size,
        "hash": record.hash,
        "isAuthReq": record.auth_required,
        "authEnvVar": record.auth_env_var,
        "modelType": record.model_type,
        "description": record.description,
        "dependencies": list(record.dependencies),
    }


def api_model(record: CatalogModel) -> dict[str, Any]:
    """A model of `/api/models`: snake case, the size in GB."""
    provider = record.auth_env_var
    return {
        "id": record.id,
        "name": record.name,
        "download_url": record.download_url,
        "file_size_gb": _gigabytes(record.size),
        "hash": record.hash,
        "auth_required": record.auth_required,
        "auth_provider": _PROVIDERS.get(provider, provider) if provider else None,
        "save_path": record.save_to,
        "dependencies": list(record.dependencies),
        "description": record.description,
    }


def workflow(record: CatalogWorkflow) -> dict[str, Any]:
    """A workflow: all its models by name, and the relations that say which of them it cannot do without."""
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "models": _names(record.needs),
        "workflow_model": [_relation(record, need) for need in record.needs],
        "custom_nodes": list(record.custom_nodes),
    }


def workflow_dependencies(record: CatalogWorkflow) -> dict[str, Any]:
    """A row of `/workflows/dependencies`; the relations come along because `models` cannot say what is optional."""
    return {
        "workflow_id": record.id,
        "workflow_name": record.name,
        "models": _names(record.needs),
        "workflow_model": [_relation(record, need) for need in record.needs],
        "custom_nodes": list(record.custom_nodes),
    }


def collection(record: CatalogCollection) -> dict[str, Any]:
    """A collection of `/collections/{id}`."""
    return {**_collection(record), "components": _members(record)}


def public_collection(record: CatalogCollection) -> dict[str, Any]:
    """A collection of `/collections/{id}/public`."""
    return {**_collection(record), "collection_node": _members(record)}


def collection_dependencies(record: CatalogCollection) -> dict[str, Any]:
    """A row of `/collections/dependencies`. What `missing_workflows` would need is not in `models`: it is unknown."""
    workflows = [member.workflow for member in record.members if member.workflow]
    return {
        "collection_id": record.id,
        "models": _names(need for workflow in workflows for need in workflow.needs),
        "custom_nodes": _once(node for workflow in workflows for node in workflow.custom_nodes),
        "missing_workflows": [member.name for member in record.members if member.workflow is None],
    }


def authorization(gated: Iterable[tuple[str, str]], available: Collection[str]) -> dict[str, Any]:
    """Which variables the gated models need, and whether the server (not the asking machine) has them."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for variable, name in gated:
        names[variable].append(name)
    return {
        "totalModelsRequiringAuth": sum(map(len, names.values())),
        "authProviders": [
            {
                "envVar": variable or None,
                "isAvailable": variable in available,
                "modelCount": len(names[variable]),
                "modelNames": names[variable],
            }
            for variable in sorted(names)
        ],
    }


def _relation(record: CatalogWorkflow, need: Need) -> dict[str, Any]:
    return {
        "workflow_id": record.id,
        "model_id": need.model.id if need.model else None,
        "model_name": need.name,
        "is_required": need.required,
    }


def _collection(record: CatalogCollection) -> dict[str, Any]:
    return {"id": record.id, "name": record.name, "description": record.description}


def _members(record: CatalogCollection) -> list[dict[str, Any]]:
    return [{"id": member.workflow.id if member.workflow else None, "name": member.name} for member in record.members]


def _names(needs: Iterable[Need]) -> list[str]:
    return _once(need.name for need in needs)


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _gigabytes(size: int | str | None) -> float | None:
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        return round(float(match[1]) * _POWERS[match[2].upper()] / 1e9, 6) if match else None
    return None if size is None else round(size / 1e9, 6)
