"""Versions of models, several sources, hashes with their algorithm, whole records as JSON, and who changed what.

Back to 0001 only what it can hold is kept: the current version of each model, its first source, its hash as written.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from alembic import op
from sqlalchemy import text

from model_manager.catalog.migrations import v0001_first as first
from model_manager.facts.identity import Pin

revision = "0002"
down_revision = "0001"

TABLES = (
    """CREATE TABLE catalog (
    id INTEGER NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, CONSTRAINT pk_catalog PRIMARY KEY (id))""",
    """CREATE TABLE model (
    id TEXT NOT NULL, name TEXT NOT NULL, current TEXT NOT NULL, revision BIGINT NOT NULL, changed_at TEXT NOT NULL,
    CONSTRAINT pk_model PRIMARY KEY (id), CONSTRAINT uq_model_name UNIQUE (name))""",
    """CREATE TABLE model_version (
    model_id TEXT NOT NULL, version TEXT NOT NULL, doc TEXT NOT NULL, type TEXT NOT NULL, base_model TEXT NOT NULL,
    auth_required BOOLEAN NOT NULL, auth_env_var TEXT, search TEXT NOT NULL,
    CONSTRAINT pk_model_version PRIMARY KEY (model_id, version),
    CONSTRAINT fk_model_version_model_id FOREIGN KEY (model_id) REFERENCES model (id) ON DELETE CASCADE)""",
    """CREATE TABLE model_source (
    model_id TEXT NOT NULL, version TEXT NOT NULL, position INTEGER NOT NULL, url TEXT NOT NULL,
    CONSTRAINT pk_model_source PRIMARY KEY (model_id, version, position),
    CONSTRAINT fk_model_source_model_id_version FOREIGN KEY (model_id, version)
    REFERENCES model_version (model_id, version) ON DELETE CASCADE)""",
    """CREATE TABLE model_hash (
    model_id TEXT NOT NULL, version TEXT NOT NULL, algorithm TEXT NOT NULL, hex TEXT NOT NULL,
    CONSTRAINT pk_model_hash PRIMARY KEY (model_id, version, algorithm, hex),
    CONSTRAINT fk_model_hash_model_id_version FOREIGN KEY (model_id, version)
    REFERENCES model_version (model_id, version) ON DELETE CASCADE)""",
    "CREATE INDEX ix_model_hash_hex ON model_hash (hex)",
    """CREATE TABLE model_dependency (
    model_id TEXT NOT NULL, version TEXT NOT NULL, position INTEGER NOT NULL, needs TEXT NOT NULL,
    CONSTRAINT pk_model_dependency PRIMARY KEY (model_id, version, position),
    CONSTRAINT fk_model_dependency_model_id_version FOREIGN KEY (model_id, version)
    REFERENCES model_version (model_id, version) ON DELETE CASCADE)""",
    "CREATE INDEX ix_model_dependency_needs ON model_dependency (needs)",
    """CREATE TABLE workflow (
    id TEXT NOT NULL, name TEXT NOT NULL, revision BIGINT NOT NULL, changed_at TEXT NOT NULL, doc TEXT NOT NULL,
    search TEXT NOT NULL, CONSTRAINT pk_workflow PRIMARY KEY (id), CONSTRAINT uq_workflow_name UNIQUE (name))""",
    """CREATE TABLE workflow_model (
    workflow_id TEXT NOT NULL, position INTEGER NOT NULL, model TEXT NOT NULL, is_required BOOLEAN NOT NULL,
    CONSTRAINT pk_workflow_model PRIMARY KEY (workflow_id, position),
    CONSTRAINT fk_workflow_model_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflow (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_workflow_model_model ON workflow_model (model)",
    """CREATE TABLE workflow_custom_node (
    workflow_id TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, repository_url TEXT NOT NULL,
    install_order INTEGER NOT NULL, CONSTRAINT pk_workflow_custom_node PRIMARY KEY (workflow_id, position),
    CONSTRAINT fk_workflow_custom_node_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflow (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_workflow_custom_node_name ON workflow_custom_node (name)",
    """CREATE TABLE collection (
    id TEXT NOT NULL, name TEXT NOT NULL, revision BIGINT NOT NULL, changed_at TEXT NOT NULL, doc TEXT NOT NULL,
    search TEXT NOT NULL, CONSTRAINT pk_collection PRIMARY KEY (id))""",
    """CREATE TABLE collection_node (
    collection_id TEXT NOT NULL, position INTEGER NOT NULL, workflow TEXT NOT NULL,
    CONSTRAINT pk_collection_node PRIMARY KEY (collection_id, position),
    CONSTRAINT fk_collection_node_collection_id FOREIGN KEY (collection_id) REFERENCES collection (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_collection_node_workflow ON collection_node (workflow)",
    """CREATE TABLE change (
    seq BIGINT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, kind TEXT NOT NULL,
    entity TEXT NOT NULL, name TEXT NOT NULL, revision BIGINT NOT NULL, before TEXT, after TEXT, note TEXT NOT NULL,
    CONSTRAINT pk_change PRIMARY KEY (seq))""",
    "CREATE INDEX ix_change_kind_entity ON change (kind, entity)",
)
NAMES = (
    "change", "collection_node", "collection", "workflow_custom_node", "workflow_model", "workflow",
    "model_dependency", "model_hash", "model_source", "model_version", "model", "catalog",
)  # fmt: skip
THEN = "1970-01-01T00:00:00Z"

Row = Mapping[str, Any]


def upgrade() -> None:
    old = {name: _rows(name) for name in reversed(first.NAMES)}
    first.downgrade()
    _create()
    _insert("catalog", [{"id": 1, "epoch": secrets.token_hex(4), "seq": 0}])
    _models(old["model"], _grouped(old["model_dependency"], "model_id"))
    _workflows(
        old["workflow"],
        _grouped(old["workflow_model"], "workflow_id"),
        _grouped(old["workflow_custom_node"], "workflow_id"),
    )
    _collections(old["collection"], _grouped(old["collection_node"], "collection_id"))


def downgrade() -> None:
    current = (
        "SELECT v.doc FROM model m JOIN model_version v ON v.model_id = m.id AND v.version = m.current ORDER BY m.id"
    )
    models = [json.loads(row[0]) for row in op.get_bind().execute(text(current))]
    workflows = [json.loads(row["doc"]) for row in _rows("workflow")]
    collections = [json.loads(row["doc"]) for row in _rows("collection")]
    for name in NAMES:
        op.drop_table(name)
    first.upgrade()
    for doc in models:
        _old_model(doc)
    for doc in workflows:
        _old_workflow(doc)
    for doc in collections:
        _insert("collection", [{key: doc[key] for key in ("id", "name", "description")}])
        _insert("collection_node", _numbered("collection_id", doc["id"], "workflow", doc["workflows"]))


def _create() -> None:
    binary = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        op.execute(table.replace(" TEXT", ' TEXT COLLATE "C"') if binary else table)


def _models(rows: list[Row], needs: Mapping[str, list[Row]]) -> None:
    for row in rows:
        of = {"model_id": row["id"], "version": "1"}
        urls = [row["download_url"]] if row["download_url"] else []
        wanted = [need["needs"] for need in needs.get(row["id"], ())]
        _insert("model", [{"id": row["id"], "name": row["name"], "current": "1", "revision": 1, "changed_at": THEN}])
        _insert("model_version", [of | _version(row, urls, wanted)])
        _insert("model_source", [of | {"position": at, "url": url} for at, url in enumerate(urls)])
        _insert("model_dependency", [of | {"position": at, "needs": need} for at, need in enumerate(wanted)])
        if pin := Pin.parse(row["hash"]):
            _insert("model_hash", [of | {"algorithm": "|".join(pin.algorithms), "hex": pin.hex}])


def _version(row: Row, urls: list[str], wanted: list[str]) -> dict[str, Any]:
    doc = {
        "id": row["id"], "name": row["name"], "version": "1", "downloadUrl": row["download_url"] or None,
        "sources": urls, "saveTo": row["save_to"], "fileSize": row["size_text"] if row["size_bytes"] is None else row["size_bytes"],
        "hash": row["hash"], "hashes": {}, "isAuthReq": bool(row["auth_required"]), "authEnvVar": row["auth_env_var"],
        "modelType": row["model_type"], "baseModel": "", "licence": "", "vramGb": None,
        "description": row["description"], "dependencies": wanted,
    }  # fmt: skip
    return {
        "doc": _json(doc), "type": row["model_type"], "base_model": "", "auth_required": bool(row["auth_required"]),
        "auth_env_var": row["auth_env_var"], "search": _search(row),
    }  # fmt: skip


def _workflows(rows: list[Row], needs: Mapping[str, list[Row]], nodes: Mapping[str, list[Row]]) -> None:
    for row in rows:
        wanted = [{"model": n["model"], "is_required": bool(n["is_required"])} for n in needs.get(row["id"], ())]
        names = [node["name"] for node in nodes.get(row["id"], ())]
        packages = [
            {"name": name, "repositoryUrl": "", "branch": "", "commit": "", "install_order": at}
            for at, name in enumerate(names)
        ]
        doc = {
            "id": row["id"], "name": row["name"], "description": row["description"], "models": wanted,
            "custom_nodes": packages, "minVramGb": None, "machineType": "",
        }  # fmt: skip
        of = {"workflow_id": row["id"]}
        _insert("workflow", [_whole(row, doc)])
        _insert("workflow_model", [of | {"position": at} | need for at, need in enumerate(wanted)])
        _insert(
            "workflow_custom_node",
            [
                of | {"position": at, "name": name, "repository_url": "", "install_order": at}
                for at, name in enumerate(names)
            ],
        )


def _collections(rows: list[Row], nodes: Mapping[str, list[Row]]) -> None:
    for row in rows:
        workflows = [node["workflow"] for node in nodes.get(row["id"], ())]
        doc = {key: row[key] for key in ("id", "name", "description")} | {"workflows": workflows}
        _insert("collection", [_whole(row, doc)])
        _insert("collection_node", _numbered("collection_id", row["id"], "workflow", workflows))


def _whole(row: Row, doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "revision": 1, "changed_at": THEN, "doc": _json(doc), "search": _search(row),
    }  # fmt: skip


def _old_model(doc: Mapping[str, Any]) -> None:
    size = doc["fileSize"]
    _insert(
        "model",
        [{
            "id": doc["id"], "name": doc["name"], "download_url": doc["downloadUrl"], "save_to": doc["saveTo"],
            "size_bytes": size if isinstance(size, int) else None, "size_text": size if isinstance(size, str) else None,
            "hash": doc["hash"], "auth_required": int(doc["isAuthReq"]), "auth_env_var": doc["authEnvVar"],
            "model_type": doc["modelType"], "description": doc["description"],
        }],
    )  # fmt: skip
    _insert("model_dependency", _numbered("model_id", doc["id"], "needs", doc["dependencies"]))


def _old_workflow(doc: Mapping[str, Any]) -> None:
    _insert("workflow", [{key: doc[key] for key in ("id", "name", "description")}])
    needs = _numbered("workflow_id", doc["id"], "model", [need["model"] for need in doc["models"]])
    for row, need in zip(needs, doc["models"], strict=True):
        row["is_required"] = int(need["is_required"])
    _insert("workflow_model", needs)
    names = list(dict.fromkeys(node["name"] for node in doc["custom_nodes"]))
    _insert("workflow_custom_node", _numbered("workflow_id", doc["id"], "name", names))


def _numbered(owner: str, identity: str, column: str, values: Iterable[str]) -> list[dict[str, Any]]:
    return [{owner: identity, "position": at, column: value} for at, value in enumerate(values)]


def _rows(table: str) -> list[Row]:
    return [dict(row) for row in op.get_bind().execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).mappings()]  # noqa: S608


def _insert(table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        values = ", ".join(f":{name}" for name in names)
        op.get_bind().execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"), rows)  # noqa: S608


def _grouped(rows: list[Row], key: str) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


def _search(row: Row) -> str:
    return f"{row['name']}\n{row['description']}".lower()


def _json(doc: Mapping[str, Any]) -> str:
    return json.dumps(doc, ensure_ascii=False, separators=(",", ":"))
