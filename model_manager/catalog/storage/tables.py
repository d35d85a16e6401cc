"""The tables. `doc` holds a whole record as it is answered, so that a look-up is one row; what lies beside it is for questions.

Both are written in one transaction, and only by `writing`. Texts sort by their bytes on every database.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *more: Any, meaning: str = "", **options: Any) -> Column[Any]:
    """A text that is there. `meaning` is for who reads this file."""
    binary = Text().with_variant(Text(collation="C"), "postgresql")
    return Column(name, binary, *more, **{"nullable": False, **options})


def _owner(table: str) -> Column[Any]:
    return _text(f"{table}_id", ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=True)


def _of_version() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["model_id", "version"], ["model_version.model_id", "model_version.version"], ondelete="CASCADE"
    )


def _position() -> Column[Any]:
    return Column("position", Integer, primary_key=True, autoincrement=False)


catalog: Final = Table(
    "catalog",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _text("epoch", meaning="new for each database, so that a cursor of another one is told apart"),
    Column("seq", BigInteger, nullable=False),  # of the last change; whoever writes locks this row first,
)

model: Final = Table(
    "model",
    metadata,
    _text("id", primary_key=True),
    _text("name"),
    _text("current", meaning="label of the version that is answered"),
    Column("revision", BigInteger, nullable=False),
    _text("changed_at", meaning="ISO 8601 UTC"),
    _text("doc", meaning="of that version, so that a look-up is one row", server_default=text("''")),
    UniqueConstraint("name"),
)

model_version: Final = Table(
    "model_version",
    metadata,
    _owner("model"),
    _text("version", primary_key=True),
    _text("doc"),
)

model_sought: Final = Table(
    "model_sought",  # what lists filter by, of the version that is answered: small rows in the order of their names
    metadata,
    _text("name", ForeignKey("model.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    _text("type", meaning="folder: checkpoints, vae, or empty"),
    _text("base_model"),
    Column("auth_required", Boolean, nullable=False),
    _text("auth_env_var", meaning="empty where none is named"),
    _text("search", meaning="name and description in lower case"),
    sqlite_with_rowid=False,
)
Index("ix_model_sought_type", model_sought.c.type, model_sought.c.name)
Index("ix_model_sought_base_model", model_sought.c.base_model, model_sought.c.name)
Index("ix_model_sought_gated", model_sought.c.auth_required, model_sought.c.auth_env_var, model_sought.c.name)

model_source: Final = Table(
    "model_source",
    metadata,
    _text("model_id", primary_key=True),
    _text("version", primary_key=True),
    _position(),
    _text("url"),
    _of_version(),
)

model_hash: Final = Table(
    "model_hash",
    metadata,
    _text("model_id", primary_key=True),
    _text("version", primary_key=True),
    _text("algorithm", primary_key=True, meaning="sha256, …; 'sha256|blake3' where nobody said which"),
    _text("hex", primary_key=True),
    _of_version(),
    Index(None, "hex"),
)

model_dependency: Final = Table(
    "model_dependency",
    metadata,
    _text("model_id", primary_key=True),
    _text("version", primary_key=True),
    _position(),
    _text("needs", meaning="id or name"),
    _of_version(),
    Index(None, "needs"),
)

workflow: Final = Table(
    "workflow",
    metadata,
    _text("id", primary_key=True),
    _text("name"),
    Column("revision", BigInteger, nullable=False),
    _text("changed_at"),
    _text("doc"),
    _text("search"),
    UniqueConstraint("name"),
)

workflow_model: Final = Table(
    "workflow_model",
    metadata,
    _owner("workflow"),
    _position(),
    _text("model", meaning="id or name"),
    Column("is_required", Boolean, nullable=False),
    Index(None, "model"),
)

workflow_custom_node: Final = Table(
    "workflow_custom_node",
    metadata,
    _owner("workflow"),
    _position(),
    _text("name"),
    _text("repository_url"),
    Column("install_order", Integer, nullable=False),
    Index(None, "name"),
)

collection: Final = Table(
    "collection",
    metadata,
    _text("id", primary_key=True),
    _text("name"),
    Column("revision", BigInteger, nullable=False),
    _text("changed_at"),
    _text("doc"),
    _text("search"),
)

collection_node: Final = Table(
    "collection_node",
    metadata,
    _owner("collection"),
    _position(),
    _text("workflow", meaning="id or name"),
    Index(None, "workflow"),
)

change: Final = Table(
    "change",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("at"),
    _text("who"),
    _text("action"),
    _text("kind"),
    _text("entity"),
    _text("name"),
    Column("revision", BigInteger, nullable=False),
    _text("before", nullable=True),
    _text("after", nullable=True),
    _text("note"),
    Index("ix_change_kind_entity", "kind", "entity"),
)

checkup: Final = Table(
    "checkup",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _text("state", meaning="how it goes, or ended"),
    _text("why", meaning="it failed"),
    _text("who"),
    _text("started"),
    _text("seen", meaning="when whoever does it was last at work"),
    _text("ended", nullable=True),
    Column("visit", Boolean, nullable=False),
    Column("fix", Boolean, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("examined", BigInteger, nullable=False),
    Column("wrong", BigInteger, nullable=False),
    Column("mendable", BigInteger, nullable=False),
    Column("mended", BigInteger, nullable=False),
    _text("kinds", meaning="JSON: kind of finding → how many"),
)

checkup_finding: Final = Table(
    "checkup_finding",
    metadata,
    Column("number", BigInteger, ForeignKey("checkup.number", ondelete="CASCADE"), primary_key=True),
    _position(),
    _text("kind"),
    _text("record", meaning="model, workflow"),
    _text("entity"),
    _text("name"),
    _text("what"),
    _text("fix"),
    _text("url", nullable=True),
    _text("token", nullable=True),
    Column("mended", Boolean, nullable=False),
)

machine: Final = Table(
    "machine",
    metadata,
    _text("id", primary_key=True),
    _text("tokens", meaning="JSON: names of the tokens that it says it has"),
    _text("told_at", meaning="ISO 8601 UTC"),
)
