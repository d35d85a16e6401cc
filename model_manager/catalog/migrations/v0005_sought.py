"""What lists filter by lies in small rows in the order of names, and what machines said of their tokens in the database.

Back to 0004 what machines said is lost; they say it again when they start.
"""

from __future__ import annotations

import json
from typing import Final

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"

TABLES: Final = (
    """CREATE TABLE model_sought (
    name TEXT NOT NULL, type TEXT NOT NULL, base_model TEXT NOT NULL, auth_required BOOLEAN NOT NULL,
    auth_env_var TEXT NOT NULL, search TEXT NOT NULL, CONSTRAINT pk_model_sought PRIMARY KEY (name),
    CONSTRAINT fk_model_sought_name FOREIGN KEY (name) REFERENCES model (name) ON DELETE CASCADE ON UPDATE CASCADE)""",
    """CREATE TABLE machine (
    id TEXT NOT NULL, tokens TEXT NOT NULL, told_at TEXT NOT NULL, CONSTRAINT pk_machine PRIMARY KEY (id))""",
)
FILL: Final = """INSERT INTO model_sought (name, type, base_model, auth_required, auth_env_var, search)
    SELECT m.name, v.type, v.base_model, v.auth_required, coalesce(v.auth_env_var, ''), v.search
    FROM model m JOIN model_version v ON v.model_id = m.id AND v.version = m.current ORDER BY m.name"""
INDEXES: Final = (
    "CREATE INDEX ix_model_sought_type ON model_sought (type, name)",
    "CREATE INDEX ix_model_sought_base_model ON model_sought (base_model, name)",
    "CREATE INDEX ix_model_sought_gated ON model_sought (auth_required, auth_env_var, name)",
)
GONE: Final = ("type", "base_model", "auth_required", "auth_env_var", "search")
BACK: Final = (
    "type TEXT{} DEFAULT '' NOT NULL", "base_model TEXT{} DEFAULT '' NOT NULL", "auth_required BOOLEAN DEFAULT FALSE NOT NULL",
    "auth_env_var TEXT{}", "search TEXT{} DEFAULT '' NOT NULL",
)  # fmt: skip
PAGE: Final = 5000


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in TABLES:
        op.execute(
            table + (" WITHOUT ROWID" if sqlite and "model_sought" in table else "") if sqlite else _binary(table)
        )
    op.execute(FILL)
    for index in INDEXES:
        op.execute(index)
    for column in GONE:
        op.drop_column("model_version", column)


def downgrade() -> None:
    for column in BACK:
        op.execute(f"ALTER TABLE model_version ADD COLUMN {column.format(_collation())}")
    last: tuple[str, str] | None = "", ""
    while last:
        last = _refill(*last)
    for table in ("model_sought", "machine"):
        op.drop_table(table)


def _refill(identity: str, version: str) -> tuple[str, str] | None:
    """One page of versions, from their JSON; the last of them, None after all."""
    query = """SELECT model_id, version, doc FROM model_version WHERE (model_id, version) > (:identity, :version)
        ORDER BY model_id, version LIMIT :page"""
    rows = op.get_bind().execute(text(query), {"identity": identity, "version": version, "page": PAGE}).all()
    if not rows:
        return None
    change = """UPDATE model_version SET type = :type, base_model = :base, auth_required = :gated, auth_env_var = :variable,
        search = :search WHERE model_id = :identity AND version = :version"""
    op.get_bind().execute(text(change), [_old(*row) for row in rows])
    return rows[-1][0], rows[-1][1]


def _old(identity: str, version: str, doc: str) -> dict[str, object]:
    said = json.loads(doc)
    return {
        "identity": identity, "version": version, "type": said["modelType"], "base": said["baseModel"],
        "gated": said["isAuthReq"], "variable": said["authEnvVar"],
        "search": f"{said['name']}\n{said['description']}".lower(),
    }  # fmt: skip


def _binary(table: str) -> str:
    return table.replace(" TEXT", f" TEXT{_collation()}")


def _collation() -> str:
    return ' COLLATE "C"' if op.get_bind().dialect.name == "postgresql" else ""
