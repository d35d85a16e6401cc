"""What CivitAI said of versions, and how far the last check of them is: in a small SQLite database beside the store, for it is
written every second while a check goes on, and every write to the store has each aggregator read that anew.

Aggregators of one state directory share it: one of them checks at a time, and all of them know what came of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

from model_manager.facts import wire
from model_manager.facts.release import Release, kept_releases
from model_manager.fleet.database import Database

SCHEMA: Final = Path(__file__).with_name("releases.sql")

FRESH: Final = 12 * 3600.0
ABSENT: Final = 24 * 3600.0
"""Seconds for which an answer stands, and one that says that there is none."""

SILENT: Final = 30.0
"""Seconds after which a check whose aggregator does not write any more is broken off."""

State = Literal["idle", "running", "waiting", "stopping", "done", "stopped", "failed", "broken off"]
GOING: Final = ("running", "waiting", "stopping")


@dataclass(frozen=True, slots=True)
class Said:
    """At a time (seconds since 1970), as answer `seq`. `releases` None: the list does not have the model."""

    at: float
    releases: tuple[Release, ...] | None
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The last one. `total` models have a number of CivitAI, of which `fresh` needed no question; `asked` were answered, `absent`
    of them are not in its list, `doubtful` cannot be read. Times are seconds since 1970, 0 for none; `beat` is when its aggregator
    last wrote."""

    id: str = ""
    who: str = ""
    state: State = "idle"
    again: bool = False
    total: int = 0
    fresh: int = 0
    asked: int = 0
    absent: int = 0
    doubtful: int = 0
    begun: float = 0.0
    ended: float = 0.0
    beat: float = 0.0
    why: str = ""

    @property
    def goes(self) -> bool:
        return self.state in GOING

    def as_of(self, now: float) -> Check:
        """A check that nobody goes on with is broken off; what it had learnt is kept."""
        if not self.goes or now - self.beat <= SILENT:
            return self
        return replace(self, state="broken off", ended=self.beat, why="its aggregator ended; begin it again")


class Releases:
    """It is opened when it is first used. Every method raises StoreUnavailable. `now`: seconds since 1970."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.now = now
        self._base = Database(path, SCHEMA)
        self._said: dict[str, Said] = {}
        self.version = 0
        """Grows with every answer that is known here."""

    def of(self, model: str) -> Said | None:
        """As of the last refresh; None while nobody asked."""
        return self._said.get(model)

    def since(self, version: int) -> set[str]:
        """Models of which something was told after a version."""
        if version == self.version:
            return set()
        return {model for model, said in self._said.items() if said.seq > version}

    async def refresh(self) -> None:
        """Learn what other aggregators wrote."""
        await self._base.do(self._read)

    async def learn(self, found: Mapping[str, Sequence[Release]], absent: Collection[str]) -> None:
        at = self.now()
        rows: list[tuple[str, float, str | None]] = [
            (model, at, wire.dumps([asdict(each) for each in releases]).decode()) for model, releases in found.items()
        ]
        rows += [(model, at, None) for model in sorted(absent)]
        insert = (
            "INSERT OR REPLACE INTO releases (model, seq, at, body)"
            " VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM releases), ?, ?)"
        )
        await self._base.whole(lambda base: base.executemany(insert, rows))
        await self.refresh()

    def due(self, models: Collection[str], *, again: bool) -> list[str]:
        """Of which models CivitAI is to be asked: all of them `again`, or those that it did not lately tell of."""
        now = self.now()
        return sorted((each for each in models if again or _stale(self._said.get(each), now)), key=int)

    async def check(self) -> Check:
        """The last one, as it is now."""
        return (await self._base.do(_check)).as_of(self.now())

    async def begin(self, check: Check) -> Check:
        """This check, or the one that goes on already."""

        def write(base: sqlite3.Connection) -> Check:
            before = _check(base).as_of(self.now())
            if before.goes:
                return before
            _put(base, check)
            return check

        return await self._base.whole(write)

    async def note(self, check: Check) -> bool:
        """How far it is. False when it is not the last one any more, or somebody wants it to end: then it is."""

        def write(base: sqlite3.Connection) -> bool:
            before = _check(base)
            if before.id != check.id:
                return False
            wanted = before.state != "stopping" or not check.goes
            _put(base, check if wanted else replace(check, state="stopping"))
            return wanted

        return await self._base.whole(write)

    async def stop(self) -> Check:
        """Whoever goes on with it ends it."""

        def write(base: sqlite3.Connection) -> Check:
            check = _check(base).as_of(self.now())
            if check.goes:
                _put(base, check := replace(check, state="stopping"))
            return check

        return await self._base.whole(write)

    async def close(self) -> None:
        await self._base.close()

    def _read(self, base: sqlite3.Connection) -> None:
        select = "SELECT model, seq, at, body FROM releases WHERE seq > ? ORDER BY seq"
        rows = base.execute(select, (self.version,)).fetchall()
        if not rows:
            return
        news = {model: Said(at, _releases(model, body), seq) for model, seq, at, body in rows}
        self._said = {**self._said, **news}
        self.version = rows[-1][1]


def _stale(said: Said | None, now: float) -> bool:
    return said is None or not 0 <= now - said.at <= (ABSENT if said.releases is None else FRESH)


def _releases(model: str, body: str | None) -> tuple[Release, ...] | None:
    return None if body is None else kept_releases(wire.loads(body, f"versions of {model}"))


def _check(base: sqlite3.Connection) -> Check:
    found = base.execute("SELECT value FROM notes WHERE name = 'check'").fetchone()
    return Check(**wire.loads(found[0], "the last check")) if found else Check()


def _put(base: sqlite3.Connection, check: Check) -> None:
    base.execute("INSERT OR REPLACE INTO notes VALUES ('check', ?)", (wire.dumps(asdict(check)).decode(),))
