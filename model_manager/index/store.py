"""What this machine holds, in SQLite. `apply` is the only function that changes the rows of held files.

A projection: the disk is the truth, and a lost index costs a scan and the reading of the files, never a download.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from model_manager.errors import AlreadyRunning, Broken
from model_manager.facts import wire
from model_manager.facts.disk import Diff, Held, InventoryDigest
from model_manager.facts.event import Entry, Envelope, Event, InventorySnapshot
from model_manager.facts.identity import MachineId, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.index.history import Change, Place, advanced, change_of
from model_manager.index.opening import open_or_rebuild
from model_manager.index.patience import patient
from model_manager.index.rows import Row, held_of, insist_on_utf8, row_of
from model_manager.index.statements import queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A run of this installation: `epoch` grows with every one, `instance` is random."""

    epoch: int
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What is held: files, their bytes, and the inventory digest (32 hex digits)."""

    models: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole inventory exactly as of its envelope's seq."""

    envelope: Envelope
    entries: tuple[Entry, ...]


class Store:
    """The index for one thread. Every method waits up to `patience` seconds for a lock, and raises IndexUnavailable when
    the database cannot be used now, Broken when it was damaged while in use."""

    def __init__(self, path: str, *, patience: float = 12.0) -> None:
        self.path = path
        self.patience = patience
        self.hurried = threading.Event()
        self.installation = ""
        self.rebuilt = ""
        self._connection: sqlite3.Connection | None = None
        self._epoch: Epoch | None = None

    @patient
    def open(self) -> None:
        """Open, migrate or rebuild. `rebuilt` then says why there is a new database in the place of one that was there.

        Raises IndexTooNew when a newer program wrote it.
        """
        self._connection, self.rebuilt = open_or_rebuild(self.path)
        self.installation = str(self._one("identity")[0])

    @patient
    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    @patient
    def begin_epoch(self, now_ms: int, machine_id: MachineId) -> Epoch:
        """Start a history. Its number is above every earlier one, and `now_ms` (Unix milliseconds) if that is larger.

        What an earlier epoch left undelivered stays in the outbox as it was numbered, so that Redis can tell what it has
        already; under another machine id it is dropped, for it happened to nobody of that name. The sums are taken anew
        from the rows, so that an error in them ends here.
        """
        with self._writing():
            before = self._place()
            epoch = Epoch(epoch=max(before.epoch + 1, now_ms), instance=secrets.token_hex(16))
            held = tuple(map(held_of, self._all("held")))
            place = Place(machine_id=str(machine_id), instance=epoch.instance, epoch=epoch.epoch).adding(held)
            if place.machine_id != before.machine_id:
                self._all("empty_outbox")
            self._move(place)
        self._epoch = epoch
        return epoch

    @patient
    def apply(self, diff: Diff, events: Sequence[Event] = (), *, at: str) -> tuple[Envelope, ...]:
        """Change the rows, the sums and the outbox in one transaction; the envelopes that it put there.

        What is in the rows already changes nothing and is not told. A change that no Entry shows (an inode, what a file
        was judged against) is kept without an event. `at` is ISO 8601 UTC. Raises AlreadyRunning when somebody else
        began an epoch here, BadPath for a name that is not UTF-8.
        """
        files = [held.file for held in (*diff.vanished, *diff.changed, *diff.appeared)]
        with self._writing():
            place = self._owned()
            change = change_of(diff, self._at(files))
            self._put(change)
            steps = tuple(advanced(place, change, events))
            envelopes = tuple(after.envelope(event, at) for after, event in steps)
            self._post(envelopes)
            if steps:
                self._move(steps[-1][0])
        return envelopes

    @patient
    def compact(self, *, at: str) -> Snapshot:
        """Empty the outbox in favour of one InventorySnapshot, and return it with the inventory as of its seq."""
        with self._writing():
            place = replace(self._owned(), seq=self._owned().seq + 1)
            entries = tuple(wire.entry(held_of(row)) for row in self._all("held"))
            envelope = place.envelope(InventorySnapshot(models=place.models, bytes=place.bytes), at)
            self._all("empty_outbox")
            self._post((envelope,))
            self._move(place)
        return Snapshot(envelope=envelope, entries=entries)

    @patient
    def held(self) -> tuple[Held, ...]:
        """Everything, by path."""
        return tuple(map(held_of, self._all("held")))

    @patient
    def at(self, files: Sequence[str]) -> dict[str, Held]:
        """What is held at these absolute paths; those that are not held are left out."""
        return self._at(files)

    @patient
    def with_digest(self, pin: Pin) -> tuple[Held, ...]:
        """Files whose known digests satisfy a pin, by path."""
        asked = dict.fromkeys(("sha256", "blake3", "md5", "autov2", "autov3")) | dict.fromkeys(pin.algorithms, pin.hex)
        return tuple(map(held_of, self._all("held_with_digest", asked)))

    @patient
    def in_slot(self, shelf: ShelfPath) -> tuple[Held, ...]:
        """Files that a model at this place would collide with, in any root and under any spelling, by path."""
        category, slot = shelf.slot
        return tuple(map(held_of, self._all("held_in_slot", {"category": category, "slot": slot})))

    @patient
    def unhashed(self, limit: int) -> tuple[Held, ...]:
        """Files whose SHA-256 nobody knows yet, small before large."""
        return tuple(map(held_of, self._all("held_unhashed", {"limit": limit})))

    @patient
    def totals(self) -> Totals:
        place = self._place()
        return Totals(models=place.models, bytes=place.bytes, digest=str(place.digest))

    @patient
    def outbox(self, limit: int) -> tuple[Envelope, ...]:
        """Undelivered events, oldest first: those of earlier epochs precede those of this one."""
        machine_id = self._place().machine_id
        return tuple(
            Envelope(
                machine_id=machine_id,
                instance=instance,
                epoch=epoch,
                seq=seq,
                at=at,
                digest=digest,
                event=wire.unpack(kind, data),
            )
            for epoch, seq, instance, at, digest, kind, data in self._all("outbox", {"limit": limit})
        )

    @patient
    def outbox_size(self) -> tuple[int, int]:
        """Rows, and bytes of event data, that wait."""
        rows, size = self._one("outbox_size")
        return rows, size

    @patient
    def delivered(self, epoch: int, upto_seq: int) -> None:
        """Forget events up to this seq of this epoch, and those of all earlier epochs."""
        self._all("drop_outbox_upto", {"epoch": epoch, "seq": upto_seq})

    @patient
    def note(self, key: str) -> str | None:
        found = self._all("note", {"key": key})
        return str(found[0][0]) if found else None

    @patient
    def set_note(self, key: str, value: str | None) -> None:
        """Note a value; None forgets the key."""
        if value is None:
            self._all("drop_note", {"key": key})
        else:
            self._all("put_note", {"key": key, "value": value})

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Broken(what=f"The index {self.path} was used while closed.")
        return self._connection

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    def _all(self, query: str, values: dict[str, Any] | tuple[()] = ()) -> list[Row]:
        return self._db.execute(queries()[query], values).fetchall()

    def _one(self, query: str) -> Row:
        return cast(Row, self._db.execute(queries()[query]).fetchone())

    def _at(self, files: Sequence[str]) -> dict[str, Held]:
        for file in files:
            insist_on_utf8(file)
        rows = self._all("held_at", {"files": wire.dumps(files).decode()})
        return {held.file: held for held in map(held_of, rows)}

    def _place(self) -> Place:
        _, machine_id, instance, epoch, seq, digest, models, size = self._one("identity")
        return Place(
            machine_id=machine_id,
            instance=instance,
            epoch=epoch,
            seq=seq,
            digest=InventoryDigest.parse(digest),
            models=models,
            bytes=size,
        )

    def _owned(self) -> Place:
        place = self._place()
        if self._epoch is None:
            raise Broken(what=f"The index {self.path} was changed before an epoch began.")
        if place.instance != self._epoch.instance:
            raise AlreadyRunning(what=f"Another model_manager took over the index {self.path}.", fix="state directory")
        return place

    def _move(self, place: Place) -> None:
        values = {
            "machine_id": place.machine_id,
            "instance": place.instance,
            "epoch": place.epoch,
            "seq": place.seq,
            "digest": str(place.digest),
            "models": place.models,
            "bytes": place.bytes,
        }
        self._all("move_identity", values)

    def _put(self, change: Change) -> None:
        self._db.executemany(queries()["drop_held"], [(held.file,) for held in change.vanished])
        self._db.executemany(queries()["put_held"], map(row_of, change.written))

    def _post(self, envelopes: Sequence[Envelope]) -> None:
        rows = ((e.epoch, e.seq, e.instance, e.at, e.digest, e.event.kind, wire.pack(e.event)) for e in envelopes)
        self._db.executemany(queries()["put_outbox"], rows)
