"""The doctor: every record is looked at and every address visited; what can be mended is offered, and written when asked for."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from model_manager.catalog import docs
from model_manager.catalog.doctor.diagnosing import Ailment, Found, addressed, shelved, visited
from model_manager.catalog.doctor.visiting import Visitor
from model_manager.catalog.records import CatalogModel, CatalogWorkflow, Sourced, Stored
from model_manager.catalog.storage.store import Store
from model_manager.errors import CatalogChanged, CatalogConflict, printable
from model_manager.facts import wire

AT_ONCE: Final = 24
"""Records that are examined together; what one host is asked is limited below."""

WHO: Final = "doctor"
PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One record that something is wrong with. `mended` None: nothing of it can be mended without a person."""

    kind: Literal["model", "workflow"]
    stored: Stored
    ailments: tuple[Ailment, ...]
    mended: CatalogModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clashes:
    """What is only seen of all records together: names by their folded form and owners by address, where there are several; and
    the names that are here of those that somebody refers to in another case."""

    cased: Mapping[str, Sequence[str]]
    shared: Mapping[str, Sequence[str]]
    meant: Mapping[str, Sequence[str]]


class Doctor:
    """Without a visitor nothing is asked of anybody. `expected`: names that workflows load → folders from which they do. `looked` is
    told how many more records were examined."""

    def __init__(
        self,
        store: Store,
        visitor: Visitor | None,
        tokens: Collection[str],
        expected: Mapping[str, Collection[str]],
        looked: Callable[[int], None] = lambda records: None,
    ) -> None:
        self._store = store
        self._visitor = visitor
        self._tokens = tokens
        self._expected = expected
        self._looked = looked

    async def examine(self) -> AsyncIterator[Examined]:
        """Every model with something wrong, then every workflow; nothing is written."""
        clashes = await self._clashes()
        waiting: list[Stored] = []
        async for stored in self._store.walk("model"):
            waiting.append(stored)
            if len(waiting) == AT_ONCE:
                for examined in await self._together(waiting, clashes):
                    yield examined
                waiting = []
        for examined in await self._together(waiting, clashes):
            yield examined
        async for stored in self._store.walk("workflow"):
            if ailments := tuple(_misspelt(docs.workflow_of(wire.loads(stored.doc)), clashes)):
                yield Examined(kind="workflow", stored=stored, ailments=ailments, mended=None)
            self._looked(1)

    async def mend(self, examined: Examined, who: str = WHO) -> str:
        """Write what was mended, unless somebody was faster; why it could not be, or "" when it was."""
        if examined.mended is None:
            return "nothing of it can be mended by itself"
        note = "; ".join(each.fix for each in examined.ailments if each.fix)
        try:
            await self._store.put(examined.mended, who, expected=examined.stored.revision, note=note[:500])
        except (CatalogChanged, CatalogConflict) as error:
            return str(error)
        return ""

    async def _together(self, records: Sequence[Stored], clashes: Clashes) -> list[Examined]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(each, clashes)) for each in records]
        self._looked(len(records))
        return [examined for task in tasks if (examined := task.result())]

    async def _one(self, stored: Stored, clashes: Clashes) -> Examined | None:
        record = docs.model_of(wire.loads(stored.doc))
        told = list(_clashing(record, clashes))
        more, mended = addressed(record)
        told += more
        more, mended = shelved(mended, self._expected)
        told += more
        more, mended = await self._visited(mended)
        told += more
        if not told:
            return None
        return Examined(kind="model", stored=stored, ailments=tuple(told), mended=mended if mended != record else None)

    async def _visited(self, record: CatalogModel) -> Found:
        if self._visitor is None:
            return [], record
        visits = [await self._visitor.visit(record.name, url) for url in record.sources]
        return visited(record, visits, self._tokens)

    async def _clashes(self) -> Clashes:
        """Names and addresses are walked twice: of what is there once, 64 bits each are held."""
        missing = await self._missing()
        names, urls = array("q"), array("q")
        async for name in self._names():
            names.append(hash(name.casefold()))
        async for each in self._sources():
            urls.append(hash(each.url))
        twice, shared = _twice(names) | {hash(name) for name in missing}, _twice(urls)
        cased: dict[str, list[str]] = {}
        async for name in self._names():
            if hash(folded := name.casefold()) in twice:
                cased.setdefault(folded, []).append(name)
        owners: dict[str, list[str]] = {}
        async for each in self._sources():
            if hash(each.url) in shared:
                owners.setdefault(each.url, []).append(each.name)
        return Clashes(
            cased=_several(cased),
            shared=_several(owners),
            meant={name: cased[name] for name in missing if name in cased},
        )

    async def _missing(self) -> set[str]:
        """What workflows need under names that nobody has, in one case."""
        missing: set[str] = set()
        waiting: set[str] = set()
        async for stored in self._store.walk("workflow"):
            waiting |= {need.model for need in docs.workflow_of(wire.loads(stored.doc)).needs}
            if len(waiting) > PAGE:
                missing |= await self._unknown(waiting)
                waiting = set()
        return missing | await self._unknown(waiting)

    async def _unknown(self, references: Collection[str]) -> set[str]:
        known = await self._store.named("model", references)
        return {each.casefold() for each in references if each not in known}

    async def _names(self) -> AsyncIterator[str]:
        last = ""
        while page := await self._store.names("model", last, PAGE):
            for name in page:
                yield name
            last = page[-1]

    async def _sources(self) -> AsyncIterator[Sourced]:
        after: tuple[str, int] = ("", -1)
        while page := await self._store.sources(after, PAGE):
            for each in page:
                yield each
            after = page[-1].id, page[-1].position


def _twice(hashes: array[int]) -> set[int]:
    """Values that are there more than once."""
    ordered = sorted(hashes)
    return {one for one, other in pairwise(ordered) if one == other}


def _several(found: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {key: names for key, names in found.items() if len(names) > 1}


def _clashing(record: CatalogModel, clashes: Clashes) -> Iterator[Ailment]:
    others = [name for name in clashes.cased.get(record.name.casefold(), ()) if name != record.name]
    if others:
        what = f"its name differs only in case from '{printable(others[0], 200)}': some disks cannot hold both"
        yield Ailment(kind="case", name=record.name, what=what)
    for url in record.sources:
        for other in [name for name in clashes.shared.get(url, ()) if name != record.name][:1]:
            what = f"'{printable(other, 200)}' has the same address: one of the two is another model's"
            yield Ailment(kind="same address", name=record.name, what=what, url=url)


def _misspelt(workflow: CatalogWorkflow, clashes: Clashes) -> Iterator[Ailment]:
    """Needs that lead to a model only in another case."""
    for need in workflow.needs:
        names = clashes.meant.get(need.model.casefold(), ())
        if names and need.model not in names:
            what = f"it needs '{printable(need.model, 200)}', which is here only as '{printable(names[0], 200)}'"
            yield Ailment(kind="case", name=workflow.name, what=what)
