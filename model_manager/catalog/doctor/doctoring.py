"""The doctor: every record is looked at and every address visited; what can be mended is offered, and written when asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from model_manager.catalog import docs
from model_manager.catalog.doctor.diagnosing import Ailment, addressed, shelved, visited
from model_manager.catalog.doctor.repeating import Repeating
from model_manager.catalog.doctor.visiting import Visitor
from model_manager.catalog.records import CatalogModel, CatalogWorkflow, Stored
from model_manager.catalog.storage.store import Store
from model_manager.errors import CatalogChanged, CatalogConflict, printable
from model_manager.facts import wire

AT_ONCE: Final = 24
"""Records that are examined together; what one host is asked is limited below."""

WHO: Final = "doctor"


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
        if self._visitor is None:
            found = [self._seen(each, clashes) for each in records]
            await asyncio.sleep(0)  # others have their turn
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._visited(self._visitor, each, clashes)) for each in records]
            found = [task.result() for task in tasks]
        self._looked(len(records))
        return [each for each in found if each.ailments]

    def _seen(self, stored: Stored, clashes: Clashes) -> Examined:
        """What its record alone tells, beside those of others."""
        record = docs.model_of(wire.loads(stored.doc))
        told = list(_clashing(record, clashes))
        more, mended = addressed(record)
        told += more
        more, mended = shelved(mended, self._expected)
        return _examined(stored, record, (*told, *more), mended)

    async def _visited(self, visitor: Visitor, stored: Stored, clashes: Clashes) -> Examined:
        seen = self._seen(stored, clashes)
        record = docs.model_of(wire.loads(stored.doc))
        mended = seen.mended or record
        visits = [await visitor.visit(mended.name, url) for url in mended.sources]
        more, mended = visited(mended, visits, self._tokens)
        return _examined(stored, record, (*seen.ailments, *more), mended)

    async def _clashes(self) -> Clashes:
        """Records are walked through only where something is there twice: of the rest, 64 bits each are held."""
        missing = {each.casefold() for each in await self._store.missing()}
        names, urls = Repeating(), Repeating()
        async for page in self._store.names():
            names.add(map(hash, map(str.casefold, page)))
        async for page in self._store.addresses():
            urls.add(map(hash, page))
        twice, shared = await names.several() | {hash(name) for name in missing}, await urls.several()
        cased: dict[str, list[str]] = {}
        owners: dict[str, list[str]] = {}
        if twice or shared:
            async for name, sources in self._addressed():
                if hash(folded := name.casefold()) in twice:
                    cased.setdefault(folded, []).append(name)
                for url in sources:
                    if hash(url) in shared:
                        owners.setdefault(url, []).append(name)
        return Clashes(
            cased=_several(cased),
            shared=_several(owners),
            meant={name: cased[name] for name in missing if name in cased},
        )

    async def _addressed(self) -> AsyncIterator[tuple[str, Sequence[str]]]:
        """The name of every model and the addresses of the version that is answered."""
        async for stored in self._store.walk("model"):
            yield stored.name, wire.loads(stored.doc)["sources"]


def _examined(stored: Stored, record: CatalogModel, told: tuple[Ailment, ...], mended: CatalogModel) -> Examined:
    changed = mended is not record and mended != record
    return Examined(kind="model", stored=stored, ailments=told, mended=mended if changed else None)


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
