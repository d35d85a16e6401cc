"""A model's row holds the JSON that is answered of it, as workflows' and collections' do: a look-up is one row."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

FILL = """UPDATE model SET doc = (
    SELECT v.doc FROM model_version v WHERE v.model_id = model.id AND v.version = model.current)"""


def upgrade() -> None:
    binary = ' COLLATE "C"' if op.get_bind().dialect.name == "postgresql" else ""
    op.execute(f"ALTER TABLE model ADD COLUMN doc TEXT{binary} DEFAULT '' NOT NULL")
    op.execute(FILL)


def downgrade() -> None:
    op.drop_column("model", "doc")
