"""The tables' revisions (Alembic). New databases are made whole and stamped; a test holds that against the migrations.

Alembic is imported where tables are made or changed: a server that finds them as they should be answers a tenth of a second earlier.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text

from model_manager.catalog.storage import tables
from model_manager.catalog.storage.database import LEGACY
from model_manager.errors import BadSetting

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

DIRECTORY: Final = Path(__file__).parent / "migrations"


def head() -> str:
    """The revision that this version knows."""
    return _revisions()[-1]


def revision(connection: Connection) -> str | None:
    """The revision of these tables; None where nobody stamped one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def create(connection: Connection) -> None:
    """All tables, as of now, in an empty database."""
    tables.metadata.create_all(connection)
    begin(connection)
    _context(connection).stamp(_scripts(), head())


def begin(connection: Connection) -> None:
    """The one row of `catalog`: a life that no cursor of another database fits."""
    connection.execute(tables.catalog.insert().values(id=1, epoch=secrets.token_hex(4), seq=0))


def adopt(connection: Connection, name: str) -> str:
    """The revision of a catalog that is there. Raises BadSetting when this version does not know it."""
    known = revision(connection)
    if known is None and inspect(connection).has_table("workflow_model"):
        _context(connection).stamp(_scripts(), LEGACY)
        known = LEGACY
    if known is None or known not in _revisions():
        raise BadSetting(
            name="catalog database",
            why=f"'{name}' has the revision {known}, which this version does not know",
            fix="Start the version that wrote it, or name another database.",
        )
    return known


def migrate(connection: Connection, target: str, name: str) -> None:
    """To a revision, `head`, or one up or down (`+1`, `-1`), in the transaction that is open. Raises BadSetting."""
    from alembic.operations import Operations
    from alembic.util import CommandError

    scripts = _scripts()
    known = adopt(connection, name)
    up = target == "head" or target.startswith("+") or target > known

    def steps(current: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs(target, current) if up else scripts._downgrade_revs(target, current)

    context = _context(connection, {"fn": steps, "transactional_ddl": True})
    try:
        with Operations.context(context):
            context.run_migrations()
    except CommandError as error:
        raise BadSetting(
            name="catalog revision",
            why=f"'{target}' cannot be reached ({error})",
            fix=f"Name one of {', '.join(_revisions())}.",
        ) from error


def stamp() -> str:
    """Now, for the name of a copy; two in one second have two names."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _revisions() -> list[str]:
    """All that this version knows, by their files' names."""
    return sorted(file.name[1:5] for file in DIRECTORY.glob("v[0-9]*.py"))


def _context(connection: Connection, options: dict[str, Any] | None = None) -> MigrationContext:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts=options)


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(DIRECTORY), version_locations=[str(DIRECTORY)])
