"""The doctor's reports. Back to 0003 they are lost; the next check-up finds the same again."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = (
    """CREATE TABLE checkup (
    number BIGINT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL, started TEXT NOT NULL,
    seen TEXT NOT NULL, ended TEXT, visit BOOLEAN NOT NULL, fix BOOLEAN NOT NULL, records BIGINT NOT NULL,
    examined BIGINT NOT NULL, wrong BIGINT NOT NULL, mendable BIGINT NOT NULL, mended BIGINT NOT NULL, kinds TEXT NOT NULL,
    CONSTRAINT pk_checkup PRIMARY KEY (number))""",
    """CREATE TABLE checkup_finding (
    number BIGINT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL, entity TEXT NOT NULL,
    name TEXT NOT NULL, what TEXT NOT NULL, fix TEXT NOT NULL, url TEXT, token TEXT, mended BOOLEAN NOT NULL,
    CONSTRAINT pk_checkup_finding PRIMARY KEY (number, position),
    CONSTRAINT fk_checkup_finding_number FOREIGN KEY (number) REFERENCES checkup (number) ON DELETE CASCADE)""",
)


def upgrade() -> None:
    binary = ' COLLATE "C"' if op.get_bind().dialect.name == "postgresql" else ""
    for table in TABLES:
        op.execute(table.replace(" TEXT", f" TEXT{binary}"))


def downgrade() -> None:
    for name in ("checkup_finding", "checkup"):
        op.drop_table(name)
