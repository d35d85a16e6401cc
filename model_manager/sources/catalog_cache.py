"""What the catalog last said, on disk: it stands in, marked, when the catalog is away or talks nonsense."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Final, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from model_manager.errors import ModelManagerError, NotFound, Refused
from model_manager.facts import wire
from model_manager.facts.model import Assignment, CollectionRecord, Described, Model, Undescribed, WorkflowRecord
from model_manager.facts.shelf import ShelfPath
from model_manager.sources.catalog_feed import Heard

FORMAT: Final = 1
MAX_FILE: Final = 4 * 1024 * 1024
MAX_FILES: Final = 20_000
"""Bytes of one record, and records in the directory; the least recently used ones go first."""

WRITERS: Final = 8
"""Records that are written at once: a disk syncs many nearly as fast as one."""

REFRESH: Final = 3600.0
"""Seconds after which a record is written again although it says nothing new, so that its time does not grow too old."""

MAX_MODELS: Final = 20_000
MAX_DEPTH: Final = 16
"""Models of one assignment, and how long a chain of dependencies may be."""

R = TypeVar("R", CollectionRecord, WorkflowRecord, Model)


class Describing(Protocol):
    """What a catalog can be asked."""

    @property
    def host(self) -> str: ...

    async def workflows(self, names: Iterable[str]) -> dict[str, WorkflowRecord | ModelManagerError]: ...

    async def collections(self, ids: Iterable[str]) -> dict[str, CollectionRecord | ModelManagerError]: ...

    async def models(self, names: Iterable[str]) -> dict[str, Model | ModelManagerError]:
        """One answer for each name; what these models need may be among it, under the names by which they need it."""

    def listen(self, cursor: str) -> AsyncIterator[Heard]:
        """What changes from now on, or with a cursor since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    at: str
    record: Any


_Due = tuple[Path, str, str, _Kept]
"""A file, and what goes into it: kind, name, record."""


@dataclass(slots=True)
class _Look:
    """What one look at an assignment has gathered. `used` are the times of everything that the description rests on."""

    now: str
    doubts: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    first: list[_Due] = field(default_factory=list)
    """What was not kept before."""
    stale: bool = False


class CachedCatalog:
    """`now` gives ISO 8601 UTC."""

    def __init__(self, catalog: Describing, directory: Path, now: Callable[[], str] | None = None) -> None:
        self._catalog = catalog
        self._directory = directory
        self._now = now or _utc
        self._written: dict[Path, _Kept] = {}
        self._keeper: Thread | None = None
        self._troubles: list[str] = []

    def listen(self, cursor: str) -> AsyncIterator[Heard]:
        """The catalog's change feed; see `Catalog.listen`."""
        return self._catalog.listen(cursor)

    async def describe(self, assignment: Assignment) -> Described:
        """The assignment as the catalog describes it now; what it fails to describe stays as it was described last.

        Nothing is raised for a catalog that is away: its silence is in the description.
        """
        await self.kept()
        look = _Look(now=self._now(), doubts=self._troubles)
        self._troubles = []
        collections = await self._known("collection", assignment.collections, self._catalog.collections, look)
        listed = [
            name for item in collections.values() if isinstance(item, CollectionRecord) for name in item.workflows
        ]
        served = list(dict.fromkeys((*assignment.served, *listed)))
        workflows = await self._known("workflow", served, self._catalog.workflows, look)
        models = await self._models(assignment, [*workflows.values()], look)
        await asyncio.to_thread(self._prune, look)
        self._keep_later(look.first)
        return Described(
            collections=tuple(collections.values()),
            workflows=tuple(dict.fromkeys(workflows.values())),
            models=tuple(models.items()),
            doubts=tuple(look.doubts),
            stale=look.stale,
            described_at=min(look.used, default=look.now),
        )

    async def kept(self) -> None:
        """Returns when all that was described lies on the disk, or cannot."""
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.join)
            self._keeper = None

    async def _models(
        self, assignment: Assignment, workflows: Sequence[WorkflowRecord | Undescribed], look: _Look
    ) -> dict[str, Model | Undescribed]:
        """The models that are named, those that came inside a workflow, and all that they depend on."""
        records = [record for record in workflows if isinstance(record, WorkflowRecord)]
        found: dict[str, Model | Undescribed] = {model.name: model for record in records for model in record.inline}
        named = [name for record in records for name in (*record.models, *record.optional)]
        pending = [*assignment.models, *named, *_depending(found.values())]
        brought: dict[str, Model | ModelManagerError] = {}
        for _ in range(MAX_DEPTH):
            pending = [name for name in dict.fromkeys(pending) if name not in found]
            if not pending or len(found) + len(pending) > MAX_MODELS:
                break
            absent = [name for name in pending if name not in brought]
            brought |= await self._catalog.models(absent) if absent else {}
            answers = {name: brought[name] for name in pending}
            fresh = await asyncio.to_thread(self._settled, "model", answers, look)
            found |= fresh
            pending = _depending(fresh.values())
        why = f"there are more than {MAX_MODELS} models, or dependencies of dependencies beyond {MAX_DEPTH}"
        return found | {name: Undescribed(name=name, why=why) for name in pending if name not in found}

    async def _known(
        self,
        kind: str,
        names: Sequence[str],
        ask: Callable[[Iterable[str]], Awaitable[dict[str, R | ModelManagerError]]],
        look: _Look,
    ) -> dict[str, R | Undescribed]:
        """One record or one reason for each name, from the catalog or else from what it said before."""
        answers = await ask(names) if names else {}
        return await asyncio.to_thread(self._settled, kind, answers, look)

    def _settled(self, kind: str, answers: dict[str, R | ModelManagerError], look: _Look) -> dict[str, R | Undescribed]:
        settled: dict[str, R | Undescribed] = {}
        good: list[tuple[str, _Kept]] = []
        for name, answer in answers.items():
            if isinstance(answer, ModelManagerError):
                settled[name] = self._stand_in(kind, name, answer, look)
            else:
                look.used.append(look.now)
                good.append((name, _Kept(at=look.now, record=answer)))
                settled[name] = answer
        due = [(self._file(kind, name), kind, name, kept) for name, kept in good]
        due = [each for each in due if not _fresh(self._written.get(each[0]), each[3]) or not each[0].exists()]
        there: list[_Due] = []
        for each in due:
            (there if each[0].exists() else look.first).append(each)

        def keep(due: _Due) -> None:
            self._keep(*due, look.doubts)

        if there:
            with ThreadPoolExecutor(WRITERS, thread_name_prefix="keep") as writers:
                deque(writers.map(keep, there), maxlen=0)
        return settled

    def _stand_in(self, kind: str, name: str, error: ModelManagerError, look: _Look) -> Any:
        """The last good answer, even where the catalog now says that there is none: a name is never forgotten by itself."""
        kept = self._read(kind, name, look)
        if kept is None:
            return Undescribed(name=name, why=str(error), missing=isinstance(error, NotFound))
        look.stale = True
        look.used.append(kept.at)
        look.doubts.append(f"{kind} '{name}': {error} The description of {kept.at} stands in.")
        return kept.record

    def _file(self, kind: str, name: str) -> Path:
        key = "\0".join((self._catalog.host, kind, name)).encode("utf-8", "surrogatepass")
        return self._directory / f"{kind}-{hashlib.sha256(key).hexdigest()[:40]}.json"

    def _keep(self, file: Path, kind: str, name: str, kept: _Kept, doubts: list[str]) -> None:
        """Written beside, brought to the disk and renamed."""
        body = wire.dumps({"format": FORMAT, "kind": kind, "name": name, "at": kept.at, "record": kept.record})
        if len(body) > MAX_FILE:
            doubts.append(f"{kind} '{name}': its description is too large to be kept for later")
            return
        temporary = file.with_suffix(".tmp")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # addresses may be signed
            with temporary.open("wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
            self._written[file] = kept
        except OSError as error:
            doubts.append(f"{kind} '{name}': its description cannot be kept in {file.parent} ({error.strerror})")

    def _keep_later(self, due: Sequence[_Due]) -> None:
        """What was never kept is no loss until it is: whoever waits for the description does not wait for the disk, nor does who
        ends this program. What goes wrong is told at the next look."""
        if due:
            self._keeper = Thread(target=self._keep_all, args=(due, self._troubles), name="keep", daemon=True)
            self._keeper.start()

    def _keep_all(self, due: Iterable[_Due], troubles: list[str]) -> None:
        for each in due:
            self._keep(*each, troubles)

    def _read(self, kind: str, name: str, look: _Look) -> _Kept | None:
        """What was kept; None, with a doubt, when the file is not what we write."""
        file = self._file(kind, name)
        try:
            if not file.is_file():
                return None
            if file.stat().st_size > MAX_FILE:
                raise ValueError("too large")
            content = wire.loads(file.read_bytes(), str(file))
            if (content["format"], content["kind"], content["name"]) != (FORMAT, kind, name):
                raise ValueError("another record")
            kept = _Kept(at=str(content["at"]), record=_record(kind, content["record"]))
            os.utime(file)
        except (OSError, ValueError, KeyError, TypeError, Refused, ValidationError) as error:
            look.doubts.append(f"{kind} '{name}': what was kept in {file.name} cannot be used ({type(error).__name__})")
            return None
        return kept

    def _prune(self, look: _Look) -> None:
        """The least recently used go when there are too many."""
        try:
            files = [entry for entry in os.scandir(self._directory) if entry.is_file(follow_symlinks=False)]
            surplus = len(files) - MAX_FILES
            for entry in sorted(files, key=lambda entry: entry.stat().st_mtime)[: max(surplus, 0)]:
                os.unlink(entry.path)
        except FileNotFoundError:
            return
        except OSError as error:
            look.doubts.append(f"old descriptions cannot be removed from {self._directory} ({error.strerror})")


def _fresh(written: _Kept | None, kept: _Kept) -> bool:
    if written is None or written.record != kept.record:
        return False
    age = datetime.fromisoformat(kept.at) - datetime.fromisoformat(written.at)
    return 0 <= age.total_seconds() < REFRESH


def _depending(models: Iterable[Model | Undescribed]) -> list[str]:
    return [name for model in models if isinstance(model, Model) for name in model.depends]


def _record(kind: str, value: Any) -> CollectionRecord | WorkflowRecord | Model:
    """A kept record, held to the same rules as a fresh one. Raises ValidationError, BadPath."""
    types: dict[str, Any] = {"collection": CollectionRecord, "workflow": WorkflowRecord, "model": Model}
    record: CollectionRecord | WorkflowRecord | Model = TypeAdapter(types[kind]).validate_python(value)
    models = record.inline if isinstance(record, WorkflowRecord) else (record,)
    for model in models:
        if isinstance(model, Model):
            ShelfPath.parse(str(model.path), model.path.name)
    return record


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
