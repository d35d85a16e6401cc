"""The doctor's reports in the catalog's database: every process before it tells the same, and a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog.doctor.reports import Checkup, DoctorReport, Noted, State, Tally, Wish
from model_manager.catalog.storage import writing
from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.tables import checkup, checkup_finding
from model_manager.errors import CatalogConflict
from model_manager.facts import wire

LEASE: Final = timedelta(seconds=60)
"""Without a sign of life for so long, whoever was at work is dead."""

GOING: Final = ("running", "stopping")


class Checkups:
    """Raises CatalogUnavailable while the database is away. `now` gives ISO 8601 UTC."""

    def __init__(self, database: Database, now: Callable[[], str]) -> None:
        self._database = database
        self._now = now

    async def keep(self, who: str, wish: Wish, started: str, tally: Tally) -> None:
        """A whole check-up that somebody else did. Raises CatalogConflict while one is going on."""
        begun = await self.begin(who, wish, tally.examined, started)
        await self.note(begun.number, tally, 0)
        await self.end(begun.number, "done")

    async def begin(self, who: str, wish: Wish, records: int, started: str | None = None) -> Checkup:
        """The new check-up. Raises CatalogConflict while one is going on."""
        async with self._database.writing() as connection:
            await writing.lock(connection)
            before = self._read(await _latest(connection))
            if before and before.state in GOING:
                why = f"{before.who} began one at {before.started}, and it is {before.state}"
                raise CatalogConflict(kind="check-up", name="doctor", why=why, fix="GET /doctor says how it goes.")
            begun = self._begun(before.number + 1 if before else 1, who, wish, records, started)
            row = {name: getattr(begun, name) for name in Checkup.__dataclass_fields__}
            await connection.execute(insert(checkup), [row | {"kinds": "{}"}])
        return begun

    async def note(self, number: int, tally: Tally, kept: int) -> bool:
        """Keep what is new, `kept` findings being there already. Whether to go on: False when somebody wants it ended."""
        values = {name: getattr(tally, name) for name in ("examined", "wrong", "mendable", "mended")}
        values |= {"kinds": wire.dumps(tally.kinds).decode(), "seen": self._now()}
        async with self._database.writing() as connection:
            going = checkup.c.number == number, checkup.c.state.in_(GOING)
            await connection.execute(update(checkup).where(*going).values(values))
            if rows := _rows(number, tally.noted, kept):
                await connection.execute(insert(checkup_finding), rows)
            state = (await connection.execute(select(checkup.c.state).where(checkup.c.number == number))).scalar()
        return state == "running"

    async def end(self, number: int, state: Literal["done", "stopped", "failed"], why: str = "") -> None:
        """It is over. Of those before it the last one that is done is kept."""
        now = self._now()
        async with self._database.writing() as connection:
            this = update(checkup).where(checkup.c.number == number)
            await connection.execute(this.values(state=state, why=why, seen=now, ended=now))
            done = select(func.max(checkup.c.number)).where(checkup.c.state == "done").scalar_subquery()
            old = checkup.c.number < number, checkup.c.number != func.coalesce(done, number)
            await connection.execute(delete(checkup).where(*old))

    async def stop(self) -> Checkup | None:
        """Ask whoever is at work to end; the newest check-up, None when there never was one."""
        async with self._database.writing() as connection:
            await connection.execute(update(checkup).where(checkup.c.state == "running").values(state="stopping"))
            return self._read(await _latest(connection))

    async def report(
        self, *, of_latest: bool = False, kind: str = "", limit: int = 1000, offset: int = 0
    ) -> DoctorReport:
        """What is known, of one moment."""
        async with self._database.reading() as connection:
            latest = self._read(await _latest(connection))
            shown = latest if of_latest else self._read(await _latest(connection, "done"))
            if shown is None:
                return DoctorReport(latest=latest, shown=None, findings=(), findings_total=0)
            wanted = [checkup_finding.c.number == shown.number]
            wanted += [checkup_finding.c.kind == kind] if kind else []
            total = (await connection.execute(select(func.count()).where(*wanted))).scalar_one()
            page = select(checkup_finding).where(*wanted).order_by(checkup_finding.c.position)
            rows = (await connection.execute(page.limit(limit).offset(offset))).all()
        return DoctorReport(latest=latest, shown=shown, findings=tuple(map(_noted, rows)), findings_total=total)

    def _begun(self, number: int, who: str, wish: Wish, records: int, started: str | None) -> Checkup:
        now = self._now()
        return Checkup(
            number=number, state="running", why="", who=who, started=started or now, seen=now, ended=None, visit=wish.visit,
            fix=wish.fix, records=records, examined=0, wrong=0, mendable=0, mended=0, kinds={},
        )  # fmt: skip

    def _read(self, row: Row[Any] | None) -> Checkup | None:
        """One that gave no sign of life for long is over."""
        if row is None:
            return None
        found = Checkup(**(dict(row._mapping) | {"kinds": wire.loads(row.kinds)}))
        quiet = datetime.fromisoformat(self._now()) - datetime.fromisoformat(found.seen)
        over: State = "broken off" if found.state in GOING and quiet > LEASE else found.state
        return replace(found, state=over)


async def _latest(connection: AsyncConnection, state: State | None = None) -> Row[Any] | None:
    query = select(checkup).order_by(checkup.c.number.desc()).limit(1)
    query = query.where(checkup.c.state == state) if state else query
    return (await connection.execute(query)).one_or_none()


def _rows(number: int, noted: Sequence[Noted], kept: int) -> list[dict[str, Any]]:
    names = [name for name in Noted.__dataclass_fields__ if name != "id"]
    return [
        {"number": number, "position": kept + at, "entity": each.id, **{name: getattr(each, name) for name in names}}
        for at, each in enumerate(noted)
    ]


def _noted(row: Row[Any]) -> Noted:
    fields = dict(row._mapping)
    fields |= {"id": fields.pop("entity")}
    del fields["number"], fields["position"]
    return Noted(**fields)
