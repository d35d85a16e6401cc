"""The questions that are asked most: records by what they are called, one statement each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import starmap
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    Select,
    func,
    literal_column,
    select,
    union_all,
)

from model_manager.catalog.records import Kind, Named, Stored
from model_manager.catalog.storage.writing import TABLES

Among = Callable[[Column[Any], Collection[str]], ColumnElement[bool]]


By = Literal["id", "name"]

BOTH: Final[dict[By, tuple[By, By]]] = {"id": ("id", "name"), "name": ("name", "id")}
"""Either of them first."""


class Question(NamedTuple):
    """Records of a kind `by` id, by name or by either; `whole` with their JSON."""

    kind: Kind
    by: By | Literal["either"]
    whole: bool


class Joined(NamedTuple):
    """Records as they are sent: `docs` is their JSON with commas between, `called` their ids or names, by which they were asked for.
    `ids`: how many of the names that were asked for are somebody's id."""

    ids: int
    called: Sequence[str]
    docs: str


class Texts(NamedTuple):
    """`docs`: JSON with commas between; `absent`: references that lead nowhere; `by`: what they were, where they were all of a sort."""

    docs: str
    absent: list[str]
    by: By


class Looker(ABC):
    """Asks one moment of a database."""

    @abstractmethod
    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """(id, name) of each, or (id, name, revision, JSON) where the question asks for all; in any order."""

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        """Records as one text: who only hands them on need not take each of them in hand."""
        rows = await self.rows(Question(kind, by, True), values)
        ids = len(await self.rows(Question(kind, "id", False), values)) if by == "name" else 0
        return Joined(ids, [row[by == "name"] for row in rows], ",".join(row[3] for row in rows))

    async def texts(self, kind: Kind, references: Collection[str], first: By = "name") -> Texts:
        """The JSON of what these references lead to, each once. Who asks by ids alone, or by names alone, as most do, is answered by one
        statement, the `first` if that is what they ask by; the answer is of its moment, and no row of it is taken in hand."""
        for by in BOTH[first] if either(kind) == "either" else BOTH["id"][:1]:
            found = await self.joined(kind, by, references)
            if not found.ids if by == "name" else len(found.called) == len(references) or either(kind) == "id":
                return Texts(found.docs, _absent(references, {*found.called}), by)
        whole = await self.by_reference(kind, references)
        docs = {each.id: each.doc for each in whole.values()}
        return Texts(",".join(docs.values()), _absent(references, whole), first)

    async def by_reference(self, kind: Kind, references: Collection[str]) -> dict[str, Stored]:
        """Each reference (id or name; an id wins) with its record."""
        found = [*starmap(Stored, await self.rows(Question(kind, either(kind), True), references))]
        known = {each.name: each for each in found} | {each.id: each for each in found}
        return {reference: known[reference] for reference in references if reference in known}

    async def by_id(self, kind: Kind, ids: Collection[str]) -> dict[str, Stored]:
        return {row[0]: Stored(*row) for row in await self.rows(Question(kind, "id", True), ids)}

    async def by_name(self, kind: Kind, names: Collection[str]) -> dict[str, Stored]:
        return {row[1]: Stored(*row) for row in await self.rows(Question(kind, "name", True), names)}

    async def named(self, kind: Kind, references: Collection[str]) -> dict[str, Named]:
        """Each reference with what it leads to; the records themselves are not read."""
        found = [*starmap(Named, await self.rows(Question(kind, either(kind), False), references))]
        known = {each.name: each for each in found} | {each.id: each for each in found}
        return {reference: known[reference] for reference in references if reference in known}


Looking = AbstractAsyncContextManager[Looker]


def numbered(kind: Kind, by: By, among: Among) -> ScalarSelect[Any] | ColumnElement[int]:
    """How many of the values are ids, where names are asked for: a number of the same moment."""
    table = TABLES[kind]
    query = select(func.count()).select_from(table).where(among(table.c.id, ()))
    return query.scalar_subquery() if by == "name" else literal_column("0")


def statement(question: Question, among: Among, values: Collection[str]) -> Select[Any] | CompoundSelect[Any]:
    """Two lists of rows for either of two columns: a database may read the whole table where it is asked for both at once."""
    table = TABLES[question.kind]
    rows = docs(question.kind) if question.whole else select(table.c.id, table.c.name)
    columns = [table.c.id, table.c.name] if question.by == "either" else [table.c[question.by]]
    asked = [rows.where(among(column, values)) for column in columns]
    if question.by == "either":
        asked[1] = asked[1].where(table.c.name != table.c.id)  # that one is found already
    return asked[0] if len(asked) == 1 else union_all(*asked)


def docs(kind: Kind) -> Select[Any]:
    """Every record of a kind, as it is answered."""
    table = TABLES[kind]
    return select(table.c.id, table.c.name, table.c.revision, table.c.doc)


def _absent(references: Collection[str], known: Collection[str]) -> list[str]:
    return [each for each in references if each not in known]


def either(kind: Kind) -> Literal["id", "either"]:
    """Collections go by id: several may share a name."""
    return "id" if kind == "collection" else "either"
