"""The SQL of the index by name, out of its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

_QUERY = re.compile(r"^-- name: (?P<name>\w+)\n(?:-- .+\n)+(?P<sql>[^;]+);", re.MULTILINE)
_QUERIES = re.compile(r"(?!schema)[a-z]+\.sql")
_NUMBERED = re.compile(r"(?P<number>\d{3})_\w+\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What leads a database from schema `number - 1` to schema `number`."""

    number: int
    sql: str


@cache
def queries() -> Mapping[str, str]:
    """The named queries of all files in `sql/` that are neither the schema nor a migration."""
    texts = [file.read_text("utf-8") for file in sorted(_folder().iterdir(), key=str) if _QUERIES.fullmatch(file.name)]
    return MappingProxyType({query["name"]: query["sql"] for text in texts for query in _QUERY.finditer(text)})


@cache
def schema() -> str:
    """What makes a fresh database of the newest schema."""
    return (_folder() / "schema.sql").read_text("utf-8")


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, oldest first."""
    found = ((_NUMBERED.fullmatch(file.name), file) for file in _folder().iterdir())
    numbered = (Migration(number=int(name["number"]), sql=file.read_text("utf-8")) for name, file in found if name)
    return tuple(sorted(numbered, key=lambda migration: migration.number))


def _folder() -> Traversable:
    return files("model_manager.index") / "sql"
