"""What this machine holds, in SQLite. `apply` is the only function that changes the rows of held files.

A projection: the disk is the truth, and a lost index costs a scan and the reading of the files, never a download.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from model_manager.errors import AlreadyRunning, Broken
from model_manager.facts import wire
from model_manager.facts.description import Lore
from model_manager.facts.directory import Directory, Scan
from model_manager.facts.disk import Diff, Fingerprint, Held, InventoryDigest, Root
from model_manager.facts.event import Entry, Envelope, Event, InventorySnapshot
from model_manager.facts.identity import MachineId, Pin
from model_manager.facts.known import Answer, Question
from model_manager.facts.shelf import ShelfPath
from model_manager.index import contents, directories, learning, shelving
from model_manager.index.database import Database
from model_manager.index.history import Place, advanced, change_of
from model_manager.index.opening import open_or_rebuild
from model_manager.index.patience import patient
from model_manager.index.rows import held_of, insist_on_utf8

ALGORITHMS: Final = ("sha256", "blake3", "md5", "crc32", "autov2", "autov3", "tensor")


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
    the database cannot be used now, IndexDamaged when it was damaged while in use."""

    def __init__(self, path: str, *, patience: float = 12.0) -> None:
        self.path = path
        self.patience = patience
        self.hurried = threading.Event()
        self.installation = ""
        self.machine_id = ""
        self.rebuilt = ""
        self._database: Database | None = None
        self._epoch: Epoch | None = None

    @patient
    def open(self) -> None:
        """Open, migrate or rebuild. `rebuilt` then says why there is a new database in the place of one that was there.

        Raises IndexTooNew when a newer program wrote it.
        """
        connection, self.rebuilt = open_or_rebuild(self.path)
        self._database = Database(connection)
        shelving.tidy(self._database)
        lost = directories.recall(self._asked, self._beside)
        self.rebuilt = "; ".join(filter(None, (self.rebuilt, lost)))
        self.installation, place = self._identity()
        self.machine_id = place.machine_id

    @patient
    def close(self) -> None:
        database, self._database = self._database, None
        if database:
            database.connection.close()

    @patient
    def begin_epoch(self, now_ms: int, machine_id: MachineId) -> Epoch:
        """Start a history. Its number is above every earlier one, and `now_ms` (Unix milliseconds) if that is larger.

        What an earlier epoch left undelivered stays in the outbox as it was numbered, so that Redis can tell what it has
        already; under another machine id it is dropped, for it happened to nobody of that name. The sums are taken anew
        from the rows, so that an error in them ends here.
        """
        with self._asked.writing():
            before = self._place()
            epoch = Epoch(epoch=max(before.epoch + 1, now_ms), instance=secrets.token_hex(16))
            held = tuple(map(held_of, self._asked.all("held")))
            place = Place(machine_id=str(machine_id), instance=epoch.instance, epoch=epoch.epoch).adding(held)
            if place.machine_id != before.machine_id:
                self._asked.all("empty_outbox")
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
        with self._asked.writing():
            place = self._owned()
            located = self._located(files)
            change = change_of(diff, {file: held for file, (held, _) in located.items()})
            contents.put(self._asked, change, located, at)
            steps = tuple(advanced(place, change, events))
            envelopes = tuple(after.envelope(event, at) for after, event in steps)
            self._post(envelopes)
            if steps:
                self._move(steps[-1][0])
        return envelopes

    @patient
    def compact(self, *, at: str) -> Snapshot:
        """Empty the outbox in favour of one InventorySnapshot, and return it with the inventory as of its seq."""
        with self._asked.writing():
            place = replace(self._owned(), seq=self._owned().seq + 1)
            entries = tuple(wire.entry(held_of(row)) for row in self._asked.all("held"))
            envelope = place.envelope(InventorySnapshot(models=place.models, bytes=place.bytes), at)
            self._asked.all("empty_outbox")
            self._post((envelope,))
            self._move(place)
        return Snapshot(envelope=envelope, entries=entries)

    @patient
    def held(self) -> tuple[Held, ...]:
        """Everything, by path."""
        return tuple(map(held_of, self._asked.all("held")))

    @patient
    def at(self, files: Sequence[str]) -> dict[str, Held]:
        """What is held at these absolute paths; those that are not held are left out."""
        return {file: held for file, (held, _) in self._located(files).items()}

    @patient
    def with_digest(self, pin: Pin) -> tuple[Held, ...]:
        """Files whose known digests satisfy a pin, by path."""
        asked = dict.fromkeys(ALGORITHMS) | dict.fromkeys(pin.algorithms, pin.hex)
        return tuple(map(held_of, self._asked.all("held_with_digest", asked)))

    @patient
    def in_slot(self, shelf: ShelfPath) -> tuple[Held, ...]:
        """Files that a model at this place would collide with, in any root and under any spelling, by path."""
        category, slot = shelf.slot
        return tuple(map(held_of, self._asked.all("held_in_slot", {"category": category, "slot": slot})))

    @patient
    def unhashed(self, limit: int) -> tuple[Held, ...]:
        """Files whose SHA-256 nobody knows yet, small before large."""
        return tuple(map(held_of, self._asked.all("held_unhashed", {"limit": limit})))

    @patient
    def totals(self) -> Totals:
        place = self._place()
        return Totals(models=place.models, bytes=place.bytes, digest=str(place.digest))

    @patient
    def outbox(self, limit: int, *, after: tuple[int, int] = (0, 0), most: int | None = None) -> tuple[Envelope, ...]:
        """Undelivered events after this (epoch, seq), oldest first: those of earlier epochs precede those of this one. The one
        whose data reach `most` bytes is the last."""
        machine_id = self._place().machine_id
        rows = self._asked.all("outbox", {"epoch": after[0], "seq": after[1], "limit": limit})
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
            for epoch, seq, instance, at, digest, kind, data in _fitting(rows, most)
        )

    @patient
    def outbox_size(self) -> tuple[int, int]:
        """Rows, and bytes of event data, that wait."""
        rows, size = self._asked.first("outbox_size") or (0, 0)
        return rows, size

    @patient
    def delivered(self, epoch: int, upto_seq: int) -> None:
        """Forget events up to this seq of this epoch, and those of all earlier epochs."""
        self._asked.all("drop_outbox_upto", {"epoch": epoch, "seq": upto_seq})

    @patient
    def note(self, key: str) -> str | None:
        found = self._asked.all("note", {"key": key})
        return str(found[0][0]) if found else None

    @patient
    def set_note(self, key: str, value: str | None) -> None:
        """Note a value; None forgets the key."""
        if value is None:
            self._asked.all("drop_note", {"key": key})
        else:
            self._asked.all("put_note", {"key": key, "value": value})

    @patient
    def track(self, path: str, folder: str | None = None, *, at: str) -> Directory:
        """A person wants a directory looked at (absolute path; `folder`: what the whole directory is). Saying so twice
        changes nothing. It survives the loss of the database. Raises DiskUnavailable when it cannot be written down."""
        with self._asked.writing():
            directories.track(self._asked, self._beside, path, folder, at)
        return next(one for one in self.directories() if one.path == path)

    @patient
    def untrack(self, path: str) -> bool:
        """A person does not want a directory any more; False if none did. Its files leave by `apply`, not here."""
        with self._asked.writing():
            return directories.untrack(self._asked, self._beside, path)

    @patient
    def configured(self, roots: Sequence[Root], *, at: str) -> None:
        """The directories of the settings are exactly these; those of persons stay beside them."""
        with self._asked.writing():
            directories.configure(self._asked, roots, at)

    @patient
    def directories(self) -> tuple[Directory, ...]:
        """All that are tracked, by path."""
        return directories.tracked(self._asked)

    @patient
    def scanned(self, scan: Scan) -> None:
        """A look at a directory has ended."""
        directories.scanned(self._asked, scan)

    @patient
    def learn(self, lore: Sequence[tuple[str, Lore]], *, at: str) -> tuple[str, ...]:
        """Attach to the contents of files what others know of them; the files that took nothing, for they are not held or
        have another size. Every teller's word is kept, his later one counts; nothing is overwritten by less."""
        with self._asked.writing():
            return learning.learn(self._asked, lore, at)

    @patient
    def undescribed(self, limit: int, *, without: Sequence[str] = ()) -> tuple[Held, ...]:
        """Files whose sidecars and headers nobody has looked at since they changed, in the order they came; none of the
        directories `without`."""
        return learning.undescribed(self._asked, limit, without)

    @patient
    def described(self, files: Sequence[Held]) -> None:
        """They were looked at; one whose fingerprint is another by now stays undescribed."""
        with self._asked.writing():
            learning.described(self._asked, files)

    @patient
    def unsampled(self, limit: int, *, read: bool = False) -> tuple[Held, ...]:
        """A file of each content whose quick hash is not known, in the order they came; with `read` only of those whose
        digest is: they were hashed on their way here."""
        return learning.unsampled(self._asked, limit, read)

    @patient
    def sampled(self, found: Sequence[tuple[str, Fingerprint, str]]) -> None:
        """Quick hashes (16 hex digits) of files as they were then; one that changed meanwhile is passed over."""
        with self._asked.writing():
            learning.sampled(self._asked, found)

    @patient
    def troubled(self, found: Sequence[tuple[Held, str]]) -> None:
        """Why files could not be read whole; "" for one that could. One that changed meanwhile is passed over."""
        with self._asked.writing():
            learning.troubled(self._asked, found)

    @patient
    def unasked(self, service: str, *, now: float, limit: int) -> tuple[Question, ...]:
        """SHA-256 of files that are here, whose answer by a service is not known or due again (`now`: Unix seconds)."""
        return learning.unasked(self._asked, service, now, limit)

    @patient
    def answered(self, service: str, answers: Sequence[Answer]) -> None:
        """What a service said, found or absent. What others told of a model stays as it is."""
        with self._asked.writing():
            learning.answered(self._asked, service, answers)

    @patient
    def bundle(self, pairs: Sequence[tuple[str, str]]) -> None:
        """File → key of the model of several files that it belongs to; "" for a model of its own."""
        with self._asked.writing():
            self._asked.each("put_bundle", ({"file": file, "bundle": key} for file, key in pairs))

    @patient
    def bundled(self) -> dict[str, str]:
        """File → key, of all files that belong to a model of several."""
        return dict(self._asked.all("bundled"))

    @patient
    def twins(self, files: Sequence[str]) -> tuple[Held, ...]:
        """Other files of the same contents as these that do not know all of its digests themselves (hard links, copies
        of which the other digest is known), with them: to be applied, nobody has to read them."""
        return tuple(map(held_of, self._asked.rows("held_twins", {"files": wire.dumps(files).decode()})))

    @property
    def _db(self) -> sqlite3.Connection:
        return self._asked.connection

    @property
    def _asked(self) -> Database:
        if self._database is None:
            raise Broken(what=f"The index {self.path} was used while closed.")
        return self._database

    @property
    def _beside(self) -> Path:
        return Path(self.path).with_name(directories.NAME)

    def _identity(self) -> tuple[str, Place]:
        row = self._asked.first("identity")
        if row is None:
            raise Broken(what=f"The index {self.path} has lost its identity.")
        installation, machine_id, instance, epoch, seq, digest, models, size = row
        place = Place(
            machine_id=machine_id,
            instance=instance,
            epoch=epoch,
            seq=seq,
            digest=InventoryDigest.parse(digest),
            models=models,
            bytes=size,
        )
        return installation, place

    def _place(self) -> Place:
        return self._identity()[1]

    def _owned(self) -> Place:
        place = self._place()
        if self._epoch is None:
            raise Broken(what=f"The index {self.path} was changed before an epoch began.")
        if place.instance != self._epoch.instance:
            raise AlreadyRunning(what=f"Another model_manager took over the index {self.path}.", fix="state directory")
        return place

    def _located(self, files: Sequence[str]) -> dict[str, tuple[Held, int]]:
        for file in files:
            insist_on_utf8(file)
        rows = self._asked.rows("held_at", {"files": wire.dumps(files).decode()})
        return {row[1]: (held_of(row[1:]), row[0]) for row in rows}

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
        self._asked.change("move_identity", values)

    def _post(self, envelopes: Sequence[Envelope]) -> None:
        rows = ((e.epoch, e.seq, e.instance, e.at, e.digest, e.event.kind, wire.pack(e.event)) for e in envelopes)
        self._asked.each("put_outbox", rows)


def _fitting(rows: Iterable[tuple[Any, ...]], most: int | None) -> Iterator[tuple[Any, ...]]:
    """The first events, up to these bytes of data."""
    size = 0
    for row in rows:
        yield row
        size += len(row[-1])
        if most is not None and size >= most:
            return
