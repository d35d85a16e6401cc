"""What the aggregator keeps: words of people and services about models, and inventories of machines that are not ours.

A small SQLite database in the state directory. Aggregators of one host share it; those of other hosts have their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from model_manager.facts import wire
from model_manager.fleet.database import Database, transaction

Teller = Literal["manual", "civitai", "server"]

TELLERS: Final[tuple[Teller, ...]] = ("manual", "civitai", "server")
"""The order in which they are believed."""

SCHEMA: Final = Path(__file__).with_name("schema.sql")

FEW: Final = 1_000
"""Places that are read again by themselves after a write."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Word:
    """What one teller said of a field; `at` is ISO 8601 UTC."""

    value: Any
    teller: str
    at: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A file that a machine says it holds; `size` in bytes, `sha256` is hex or empty."""

    place: str
    size: int | None
    sha256: str
    at: str = ""


Told = Mapping[str, Mapping[str, Word]]
"""`folder/name` → field → the word that is believed."""


class Store:
    """It is opened when it is first used. Every method raises StoreUnavailable."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self._now = now
        self._base = Database(path, SCHEMA)
        self._seen: tuple[int, int] = (-1, -1)
        self._peeked: int | None = None
        self.told: Told = {}
        self.claims: Mapping[str, Mapping[str, Claimed]] = {}
        self.changed: set[str] = set()
        """Places of which something else is told or claimed now; whoever follows them takes them out."""

    def now(self) -> str:
        """ISO 8601 UTC."""
        return self._at()

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change that was read."""
        return self._seen

    async def refresh(self) -> None:
        """Brings `told` (of models) and `claims` (server → place → what it claims) up to date."""
        peeked = self._base.peek()
        if peeked is None or peeked != self._peeked:
            await self._base.do(self._read)
            self._peeked = peeked

    async def tell(self, place: str, teller: Teller, fields: Mapping[str, Any]) -> None:
        """None takes a word back."""
        await self.tell_all(teller, {place: fields})

    async def tell_all(self, teller: Teller, words: Mapping[str, Mapping[str, Any]]) -> None:
        """Of many places."""
        at = self._at()
        each = [(place, teller, name, value) for place, fields in words.items() for name, value in fields.items()]
        gone = [(place, teller, name) for place, teller, name, value in each if value is None]
        new = [(*key, wire.dumps(value).decode(), at) for *key, value in each if value is not None]

        def write(base: sqlite3.Connection) -> None:
            base.executemany("DELETE FROM told WHERE place = ? AND teller = ? AND field = ?", gone)
            base.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?)", new)

        await self._write(write, tuple(words))

    async def claim(self, server: str, claimed: Iterable[Claimed], gone: Iterable[str], *, whole: bool) -> None:
        """What a server holds now; `whole`: and nothing else."""
        at = self._at()
        rows = [(server, each.place, each.size, each.sha256, at) for each in claimed]
        lost = [(server, place) for place in gone]

        def write(base: sqlite3.Connection) -> None:
            if whole:
                base.execute("DELETE FROM held WHERE server = ?", (server,))
            base.executemany("DELETE FROM held WHERE server = ? AND place = ?", lost)
            base.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)", rows)

        await self._write(write)

    async def forget(self, places: Iterable[str]) -> int:
        """What services told of these places; what people told stays. How many words went."""
        gone = [(place,) for place in places]

        def write(base: sqlite3.Connection) -> int:
            return base.executemany("DELETE FROM told WHERE place = ? AND teller <> 'manual'", gone).rowcount

        return await self._write(write) if gone else 0

    async def reset(self) -> Path:
        """Empties it; the copy of before is complete before anything goes."""
        stamp = self._now().strftime("%Y%m%dT%H%M%S%f")
        target = self.path.with_name(f"{self.path.name}.backup-{stamp}")

        def write(base: sqlite3.Connection) -> None:
            base.execute("DELETE FROM told")
            base.execute("DELETE FROM held")

        await self._base.do(lambda base: _copy(base, target))
        await self._write(write)
        return target

    async def close(self) -> None:
        await self._base.close()

    async def _write(self, work: Callable[[sqlite3.Connection], T], places: Sequence[str] = ()) -> T:
        """One transaction, and what is remembered follows it: of these places alone, when it concerns a few of them and nobody
        else wrote."""

        def write(base: sqlite3.Connection) -> T:
            self._read(base)
            with transaction(base):
                made = work(base)
            if 0 < len(places) <= FEW:
                self._read_again(base, places)
            self._read(base)
            return made

        return await self._base.do(write)

    def _read(self, base: sqlite3.Connection) -> None:
        """Only when somebody wrote since."""
        seen = int(base.execute("PRAGMA data_version").fetchone()[0]), base.total_changes
        if seen == self._seen:
            return
        told = _believed(base.execute("SELECT place, teller, field, value, at FROM told").fetchall())
        claims: dict[str, dict[str, Claimed]] = {}
        for server, place, size, sha256, at in base.execute("SELECT server, place, size, sha256, at FROM held"):
            claims.setdefault(server, {})[place] = Claimed(place, size, sha256, at)
        news = {*_differing(self.told, told), *_claimed_otherwise(self.claims, claims)}
        self.told, self.claims, self._seen = told, claims, seen
        self.changed = self.changed | news  # never in place: who follows them is on another thread

    def _read_again(self, base: sqlite3.Connection, places: Sequence[str]) -> None:
        """Of these places, which we wrote just now; a write of another process shows in the version."""
        seen = int(base.execute("PRAGMA data_version").fetchone()[0]), base.total_changes
        if seen[0] != self._seen[0]:
            return
        select = "SELECT place, teller, field, value, at FROM told WHERE place = ?"
        found = _believed([row for place in places for row in base.execute(select, (place,))])
        told = dict(self.told)
        for place in places:
            told.pop(place, None)
        self.told, self._seen = told | found, seen
        self.changed = self.changed | {*places}

    def _at(self) -> str:
        return self._now().isoformat(timespec="milliseconds")


def _copy(base: sqlite3.Connection, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with closing(sqlite3.connect(part)) as copy:
        base.backup(copy)
    part.rename(target)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from (place for place, words in after.items() if before.get(place) != words)
    yield from (place for place in before if place not in after)


def _claimed_otherwise(
    before: Mapping[str, Mapping[str, Claimed]], after: Mapping[str, Mapping[str, Claimed]]
) -> Iterator[str]:
    for server in before.keys() | after.keys():
        yield from _differing(before.get(server, {}), after.get(server, {}))


def _believed(rows: Sequence[tuple[str, Teller, str, str, str]]) -> dict[str, dict[str, Word]]:
    found: dict[str, dict[str, Word]] = {}
    for place, teller, field, value, at in sorted(rows, key=lambda row: -TELLERS.index(row[1])):
        found.setdefault(place, {})[field] = Word(wire.loads(value, field), teller, at)
    return found
