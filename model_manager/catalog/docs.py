"""Records ⇄ JSON: one form for what GET answers, PUT takes, an export holds and the database keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from model_manager.catalog.records import (
    CatalogCollection,
    CatalogModel,
    CatalogWorkflow,
    CustomNode,
    Doc,
    Kind,
    Need,
    Record,
)
from model_manager.facts import wire


def doc_of(record: Record) -> Doc:
    match record:
        case CatalogModel():
            return _model(record)
        case CatalogWorkflow():
            return _workflow(record)
        case CatalogCollection():
            return {
                "id": record.id,
                "name": record.name,
                "description": record.description,
                "workflows": list(record.workflows),
            }
        case _:
            assert_never(record)


def text_of(record: Record) -> str:
    """The record's JSON."""
    return wire.dumps(doc_of(record)).decode()


def kind_of(record: Record) -> Kind:
    match record:
        case CatalogModel():
            return "model"
        case CatalogWorkflow():
            return "workflow"
        case CatalogCollection():
            return "collection"
        case _:
            assert_never(record)


def record_of(kind: Kind, doc: Mapping[str, Any]) -> Record:
    """The record of a doc of ours."""
    match kind:
        case "model":
            return model_of(doc)
        case "workflow":
            return workflow_of(doc)
        case "collection":
            return CatalogCollection(
                id=doc["id"], name=doc["name"], description=doc["description"], workflows=tuple(doc["workflows"])
            )
        case _:
            assert_never(kind)


def model_of(doc: Mapping[str, Any]) -> CatalogModel:
    return CatalogModel(
        id=doc["id"],
        name=doc["name"],
        version=doc["version"],
        sources=tuple(doc["sources"]),
        save_to=doc["saveTo"],
        size=doc["fileSize"],
        hash=doc["hash"],
        hashes=tuple(doc["hashes"].items()),
        auth_required=doc["isAuthReq"],
        auth_env_var=doc["authEnvVar"],
        model_type=doc["modelType"],
        base_model=doc["baseModel"],
        licence=doc["licence"],
        vram_gb=doc["vramGb"],
        description=doc["description"],
        dependencies=tuple(doc["dependencies"]),
    )


def workflow_of(doc: Mapping[str, Any]) -> CatalogWorkflow:
    return CatalogWorkflow(
        id=doc["id"],
        name=doc["name"],
        description=doc["description"],
        needs=tuple(Need(model=need["model"], required=need["is_required"]) for need in doc["models"]),
        custom_nodes=tuple(
            CustomNode(
                name=node["name"],
                repository_url=node["repositoryUrl"],
                branch=node["branch"],
                commit=node["commit"],
                install_order=node["install_order"],
            )
            for node in doc["custom_nodes"]
        ),
        min_vram_gb=doc["minVramGb"],
        machine_type=doc["machineType"],
    )


def _model(record: CatalogModel) -> Doc:
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "downloadUrl": record.sources[0] if record.sources else None,
        "sources": list(record.sources),
        "saveTo": record.save_to,
        "fileSize": record.size,
        "hash": record.hash,
        "hashes": dict(record.hashes),
        "isAuthReq": record.auth_required,
        "authEnvVar": record.auth_env_var,
        "modelType": record.model_type,
        "baseModel": record.base_model,
        "licence": record.licence,
        "vramGb": record.vram_gb,
        "description": record.description,
        "dependencies": list(record.dependencies),
    }


def _workflow(record: CatalogWorkflow) -> Doc:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "models": [{"model": need.model, "is_required": need.required} for need in record.needs],
        "custom_nodes": [_node(node) for node in record.custom_nodes],
        "minVramGb": record.min_vram_gb,
        "machineType": record.machine_type,
    }


def _node(node: CustomNode) -> Doc:
    return {
        "name": node.name,
        "repositoryUrl": node.repository_url,
        "branch": node.branch,
        "commit": node.commit,
        "install_order": node.install_order,
    }
