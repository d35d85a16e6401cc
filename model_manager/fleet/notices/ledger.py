"""Rules, notices and deliveries, in a small SQLite database of their own beside the store: they are written often, and every
write to the store has each aggregator read it anew.

Aggregators of one state directory share it. One of them leads: it evaluates and delivers until it is silent for LEASE seconds.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from model_manager.facts import wire
from model_manager.facts.notice import Edge, Rule, Subject, Turn
from model_manager.fleet.database import Database

LEASE: Final = 10.0
"""Seconds after which another aggregator takes over from one that is silent."""

SCHEMA: Final = Path(__file__).with_name("schema.sql")

DETAILED: Final = 50
"""Subjects that a notice carries; `count` has them all."""

State = Literal["none", "waiting", "delivered", "dead"]
Work = Callable[[sqlite3.Connection], Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A rule as it is kept. `secret` signs; it never leaves but to who made the rule. `told_at`: seconds since 1970."""

    rule: Rule
    secret: str
    made: str
    version: int
    based: bool
    told_at: float | None

    def __repr__(self) -> str:
        return f"Kept(rule={self.rule!r}, version={self.version})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is to be told, before it has a number. `subjects` are the first ones of `count`."""

    rule: Rule
    edge: Edge
    text: str
    count: int
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where a notice stands on its way. Times are seconds since 1970; `status` is the last answer's, None without one."""

    state: State
    attempts: int
    begun: float
    due: float
    status: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A notice with its number. `body` is as it was told: `name`, `text`, `count`, `subjects`."""

    id: int
    rule: str
    kind: str
    edge: Edge
    at: str
    body: Mapping[str, Any]
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Of a look at the past."""

    rule: str | None = None
    kind: str | None = None
    state: str | None = None


class Ledger:
    """It is opened when it is first used. Every method raises StoreUnavailable. `now`: seconds since 1970."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self.now = now
        self._base = Database(path, SCHEMA, mode=0o600)  # secrets are in it

    async def rules(self) -> list[Kept]:
        """By name."""
        found = await self._base.do(lambda base: base.execute("SELECT * FROM rules").fetchall())
        return sorted(map(_kept, found), key=lambda kept: (kept.rule.name, kept.rule.id))

    async def rule(self, identity: str) -> Kept | None:
        found = await self._base.do(
            lambda base: base.execute("SELECT * FROM rules WHERE id = ?", (identity,)).fetchone()
        )
        return _kept(found) if found else None

    async def add(self, rule: Rule, secret: str) -> Kept:
        row = (rule.id, _body(rule), secret, self._at(), 1, 0, None)
        await self._base.whole(lambda base: base.execute("INSERT INTO rules VALUES (?, ?, ?, ?, ?, ?, ?)", row))
        return _kept(row)

    async def change(self, rule: Rule, secret: str, version: int) -> bool:
        """False when it is not at that version any more. What it remembers goes when it looks at something else now."""

        def write(base: sqlite3.Connection) -> bool:
            row = base.execute("SELECT * FROM rules WHERE id = ? AND version = ?", (rule.id, version)).fetchone()
            if row is None:
                return False
            same = _looks_at(_kept(row).rule) == _looks_at(rule)
            changed = (_body(rule), secret, version + 1, row[5] if same else 0, rule.id)
            base.execute("UPDATE rules SET body = ?, secret = ?, version = ?, based = ? WHERE id = ?", changed)
            if not same:
                base.execute("DELETE FROM known WHERE rule = ?", (rule.id,))
            return True

        return await self._base.whole(write)

    async def drop(self, identity: str) -> bool:
        """Its notices stay; what was not delivered is dead."""

        def write(base: sqlite3.Connection) -> bool:
            base.execute("DELETE FROM known WHERE rule = ?", (identity,))
            dead = (
                "UPDATE notices SET state = 'dead', why = 'its rule was removed' WHERE rule = ? AND state = 'waiting'"
            )
            base.execute(dead, (identity,))
            return base.execute("DELETE FROM rules WHERE id = ?", (identity,)).rowcount == 1

        return await self._base.whole(write)

    async def lead(self, who: str) -> bool:
        """Whether `who` leads for the next LEASE seconds. A lease that ends later than any of ours could is of another clock."""

        def write(base: sqlite3.Connection) -> bool:
            now, held = self.now(), _note(base, "leader", {"who": "", "until": 0.0})
            if held["who"] != who and now < held["until"] <= now + LEASE:
                return False
            _put(base, "leader", {"who": who, "until": now + LEASE})
            return True

        return await self._base.whole(write)

    async def resign(self, who: str) -> None:
        """Another one may lead at once."""

        def write(base: sqlite3.Connection) -> None:
            if _note(base, "leader", {"who": ""})["who"] == who:
                base.execute("DELETE FROM notes WHERE name = 'leader'")

        await self._base.whole(write)

    async def known(self, rule: str) -> dict[str, bool]:
        select = "SELECT key, here FROM known WHERE rule = ?"
        rows = await self._base.do(lambda base: base.execute(select, (rule,)).fetchall())
        return {key: bool(here) for key, here in rows}

    async def took(self, who: str, kept: Kept, turn: Turn, said: Sequence[Said]) -> bool:
        """Remembers a turn and tells its notices, in one step. False, and nothing done, when `who` does not lead any more or the
        rule was changed meanwhile."""

        def write(base: sqlite3.Connection) -> bool:
            current = base.execute("SELECT version FROM rules WHERE id = ?", (kept.rule.id,)).fetchone()
            if not self._leads(base, who) or current != (kept.version,):
                return False
            rows = [(kept.rule.id, key, here) for key, here in turn.kept.items() if here is not None]
            lost = [(kept.rule.id, key) for key, here in turn.kept.items() if here is None]
            base.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows)
            base.executemany("DELETE FROM known WHERE rule = ? AND key = ?", lost)
            for each in said:
                self._tell(base, each)
            at = self.now() if said else kept.told_at
            base.execute("UPDATE rules SET based = 1, told_at = ? WHERE id = ?", (at, kept.rule.id))
            return True

        return await self._base.whole(write)

    async def tell(self, said: Said, hold: float = 0.0) -> int:
        """Its number. Whoever delivers by the clock leaves it alone for `hold` seconds."""
        return await self._base.whole(lambda base: self._tell(base, said, hold))

    def _leads(self, base: sqlite3.Connection, who: str) -> bool:
        return bool(_note(base, "leader", {"who": ""})["who"] == who)

    def _tell(self, base: sqlite3.Connection, said: Said, hold: float = 0.0) -> int:
        body = {
            "name": said.rule.name,
            "text": said.text,
            "count": said.count,
            "subjects": [asdict(each) for each in said.subjects[:DETAILED]],
        }
        now, state = self.now(), "waiting" if said.rule.url else "none"
        row = (said.rule.id, said.rule.kind, said.edge, self._at(), wire.dumps(body).decode(), state, now, now + hold)
        columns = "rule, kind, edge, at, body, state, begun, due"
        cursor = base.execute(f"INSERT INTO notices ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
        return int(cursor.lastrowid or 0)

    async def note(self, name: str, value: Any) -> Any:
        """What was noted under a name, or `value`."""
        return await self._base.do(lambda base: _note(base, name, value))

    async def put_note(self, name: str, value: Any) -> None:
        await self._base.whole(lambda base: _put(base, name, value))

    async def notices(self, after: int, limit: int, asked: Filter = Filter()) -> list[Noted]:
        """Up to `limit` after a number, oldest first."""
        return await self._notices("id > ?", "ASC", after, limit, asked)

    async def before(self, before: int, limit: int, asked: Filter = Filter()) -> list[Noted]:
        """Up to `limit` before a number, oldest first."""
        return (await self._notices("id < ?", "DESC", before, limit, asked))[::-1]

    async def notice(self, identity: int) -> Noted | None:
        found = await self._notices("id = ?", "ASC", identity, 1, Filter())
        return found[0] if found else None

    async def _notices(self, where: str, way: str, number: int, limit: int, asked: Filter) -> list[Noted]:
        given = {"rule": asked.rule, "kind": asked.kind, "state": asked.state}
        wanted = {name: value for name, value in given.items() if value is not None}
        more = "".join(f" AND {name} = ?" for name in wanted)
        select = f"SELECT * FROM notices WHERE {where}{more} ORDER BY id {way} LIMIT ?"  # noqa: S608 - our own words
        values = (number, *wanted.values(), limit)
        return [_noted(row) for row in await self._base.do(lambda base: base.execute(select, values).fetchall())]

    async def due(self, limit: int) -> list[Noted]:
        """Deliveries whose time has come, the earliest first; of each rule one."""
        first = "SELECT *, row_number() OVER (PARTITION BY rule ORDER BY due, id) AS place FROM notices"
        select = (
            f"SELECT * FROM ({first} WHERE state = 'waiting' AND due <= ?) WHERE place = 1 ORDER BY due, id LIMIT ?"  # noqa: S608
        )
        values = (self.now(), limit)
        return [_noted(row[:-1]) for row in await self._base.do(lambda base: base.execute(select, values).fetchall())]

    async def settle(self, identity: int, delivery: Delivery) -> None:
        """What became of an attempt."""
        update = "UPDATE notices SET state = ?, attempts = ?, begun = ?, due = ?, status = ?, why = ? WHERE id = ?"
        row = (delivery.state, delivery.attempts, delivery.begun, delivery.due, delivery.status, delivery.why, identity)
        await self._base.whole(lambda base: base.execute(update, row))

    async def forget(self, before: str) -> int:
        """Notices told before an ISO time go, and how many; those that are on their way stay."""
        delete = "DELETE FROM notices WHERE at < ? AND state != 'waiting'"
        return await self._base.whole(lambda base: base.execute(delete, (before,)).rowcount)

    async def installation(self) -> str:
        """Random, and the same for ever: numbers of two ledgers are told apart by it."""

        def write(base: sqlite3.Connection) -> str:
            found: str = _note(base, "installation", "")
            if not found:
                _put(base, "installation", found := secrets.token_hex(8))
            return found

        return await self._base.whole(write)

    async def close(self) -> None:
        await self._base.close()

    def _at(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")


def _note(base: sqlite3.Connection, name: str, value: Any) -> Any:
    found = base.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return wire.loads(found[0], name) if found else value


def _put(base: sqlite3.Connection, name: str, value: Any) -> None:
    base.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, wire.dumps(value).decode()))


def _body(rule: Rule) -> str:
    return wire.dumps(rule).decode()


def _looks_at(rule: Rule) -> Rule:
    """The rule without what only says how it is called, and where and when it is told."""
    return replace(rule, name="", url="", gather=0.0, cooldown=0.0)


def _kept(row: Any) -> Kept:
    identity, body, secret, made, version, based, told_at = row
    fields = wire.loads(body, f"rule {identity}")
    lists = {name: tuple(fields.get(name, ())) for name in ("models", "machines")}
    return Kept(
        rule=Rule(**{**fields, **lists}), secret=secret, made=made, version=version, based=bool(based), told_at=told_at
    )


def _noted(row: Any) -> Noted:
    identity, rule, kind, edge, at, body, state, attempts, begun, due, status, why = row
    delivery = Delivery(state=state, attempts=attempts, begun=begun, due=due, status=status, why=why)
    told = wire.loads(body, f"notice {identity}")
    return Noted(id=identity, rule=rule, kind=kind, edge=edge, at=at, body=told, delivery=delivery)
