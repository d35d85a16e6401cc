"""The catalog before there were migrations: what a model needs, and what workflows and collections name."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    """CREATE TABLE model (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, download_url TEXT, save_to TEXT, size_bytes BIGINT, size_text TEXT,
    hash TEXT, auth_required INTEGER NOT NULL, auth_env_var TEXT, model_type TEXT NOT NULL, description TEXT NOT NULL)""",
    """CREATE TABLE model_dependency (
    model_id TEXT NOT NULL REFERENCES model (id) ON DELETE CASCADE, position INTEGER NOT NULL, needs TEXT NOT NULL,
    PRIMARY KEY (model_id, position))""",
    "CREATE TABLE workflow (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL)",
    """CREATE TABLE workflow_model (
    workflow_id TEXT NOT NULL REFERENCES workflow (id) ON DELETE CASCADE, position INTEGER NOT NULL, model TEXT NOT NULL,
    is_required INTEGER NOT NULL, PRIMARY KEY (workflow_id, position))""",
    """CREATE TABLE workflow_custom_node (
    workflow_id TEXT NOT NULL REFERENCES workflow (id) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (workflow_id, position))""",
    "CREATE TABLE collection (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL)",
    """CREATE TABLE collection_node (
    collection_id TEXT NOT NULL REFERENCES collection (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    workflow TEXT NOT NULL, PRIMARY KEY (collection_id, position))""",
)
NAMES = (
    "collection_node",
    "collection",
    "workflow_custom_node",
    "workflow_model",
    "workflow",
    "model_dependency",
    "model",
)


def upgrade() -> None:
    for table in TABLES:
        op.execute(table)


def downgrade() -> None:
    for name in NAMES:
        op.drop_table(name)
