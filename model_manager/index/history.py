"""Where a machine's history stands, what a diff really changes in it, and the events that say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from model_manager.facts import wire
from model_manager.facts.disk import Diff, Held, InventoryDigest
from model_manager.facts.event import Envelope, Event, ModelAppeared, ModelChanged, ModelVanished


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the history stands: after `seq` of `epoch`. `models` and `bytes` count what `digest` sums."""

    machine_id: str
    instance: str
    epoch: int
    seq: int = 0
    digest: InventoryDigest = field(default_factory=InventoryDigest)
    models: int = 0
    bytes: int = 0

    def adding(self, items: tuple[Held, ...]) -> Place:
        size = sum(held.fingerprint.size for held in items)
        return replace(self, digest=self.digest.adding(items), models=self.models + len(items), bytes=self.bytes + size)

    def removing(self, items: tuple[Held, ...]) -> Place:
        size = sum(held.fingerprint.size for held in items)
        return replace(
            self, digest=self.digest.removing(items), models=self.models - len(items), bytes=self.bytes - size
        )

    def envelope(self, event: Event, at: str) -> Envelope:
        """The event that led to this place."""
        return Envelope(
            machine_id=self.machine_id,
            instance=self.instance,
            epoch=self.epoch,
            seq=self.seq,
            at=at,
            digest=str(self.digest),
            event=event,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a diff changes against the rows that are there. `seen` of `changed` are those that the fleet can tell apart."""

    vanished: tuple[Held, ...] = ()
    changed: tuple[tuple[Held, Held], ...] = ()
    appeared: tuple[Held, ...] = ()

    @property
    def written(self) -> tuple[Held, ...]:
        return (*(new for _, new in self.changed), *self.appeared)

    @property
    def seen(self) -> tuple[tuple[Held, Held], ...]:
        return tuple((old, new) for old, new in self.changed if wire.entry(old) != wire.entry(new))

    @property
    def empty(self) -> bool:
        return not (self.vanished or self.changed or self.appeared)


def change_of(diff: Diff, rows: Mapping[str, Held]) -> Change:
    """What of a diff is news to the rows. First its vanished files go, then the others come; of two for one path the last
    counts, and `appeared` or `changed` is decided by what is in the rows."""
    vanished = {held.file: rows[held.file] for held in diff.vanished if held.file in rows}
    coming = {held.file: held for held in (*diff.changed, *diff.appeared)}
    left = {file: held for file, held in rows.items() if file not in vanished}
    return Change(
        vanished=tuple(vanished.values()),
        changed=tuple((left[file], held) for file, held in coming.items() if file in left and left[file] != held),
        appeared=tuple(held for file, held in coming.items() if file not in left),
    )


def advanced(place: Place, change: Change, events: Iterable[Event]) -> Iterator[tuple[Place, Event]]:
    """Each event that follows, with the place it leads to: vanished, changed, appeared, then the others in their order."""
    if change.vanished:
        place = _next(place.removing(change.vanished))
        yield place, ModelVanished(models=tuple(map(wire.gone, change.vanished)))
    if seen := change.seen:
        new = tuple(new for _, new in seen)
        place = _next(place.removing(tuple(old for old, _ in seen)).adding(new))
        yield place, ModelChanged(models=tuple(map(wire.entry, new)))
    if change.appeared:
        place = _next(place.adding(change.appeared))
        yield place, ModelAppeared(models=tuple(map(wire.entry, change.appeared)))
    for event in events:
        place = _next(place)
        yield place, event


def _next(place: Place) -> Place:
    return replace(place, seq=place.seq + 1)
