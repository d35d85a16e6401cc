"""What is known of a machine after this envelope?"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace

from model_manager.facts.event import (
    AssignmentChanged,
    Entry,
    Envelope,
    Event,
    Gone,
    MachineBye,
    MachineHello,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    ReadinessChanged,
)
from model_manager.facts.mirror import (
    MODULUS,
    Copy,
    Folded,
    Mirror,
    Repeat,
    Resync,
    Said,
    Share,
    Verdict,
    copy_of,
    departed,
)


def fold(mirror: Mirror | None, envelope: Envelope, share: Share = copy_of) -> Verdict:
    """The rules of docs/events.md for one entry of the stream. `share` says which Copy stands for an entry.

    Kinds and shapes that are unknown change nothing that we see; the digest says whether that is true.
    """
    position = envelope.epoch, envelope.seq
    if mirror is not None and position <= (mirror.epoch, mirror.seq):
        return Repeat()
    event = envelope.event
    if isinstance(event, MachineBye):
        return Folded(departed(envelope.machine_id, position, envelope.at, envelope.instance))
    if mirror is None:
        return Resync(f"{event.kind} of an unknown machine")
    if position == (mirror.epoch, mirror.seq + 1):
        return _next(mirror, envelope, share)
    if isinstance(event, MachineHello) and envelope.digest == mirror.digest:
        return Folded(_moved(mirror, envelope, mirror.entries, mirror.sum))
    return Resync(f"a hole between {mirror.epoch}-{mirror.seq} and {event.kind} {envelope.epoch}-{envelope.seq}")


def _next(mirror: Mirror, envelope: Envelope, share: Share) -> Verdict:
    changes = changes_of(envelope.event)
    entries, total = _laid(mirror, changes, share) if changes else (mirror.entries, mirror.sum)
    if f"{total:032x}" != envelope.digest:
        return Resync(f"the digest after {envelope.event.kind} {envelope.epoch}-{envelope.seq}")
    return Folded(_moved(mirror, envelope, entries, total), changes)


def _laid(mirror: Mirror, changes: Iterable[Entry | Gone], share: Share) -> tuple[dict[str, Copy], int]:
    entries, total = copy(mirror.entries), mirror.sum
    for change in changes:
        old = entries.pop(change.path, None)
        if old is not None:
            total -= old.term
        if isinstance(change, Entry):
            entries[change.path] = new = share(change)
            total += new.term
    return entries, total % MODULUS


def changes_of(event: Event) -> tuple[Entry | Gone, ...]:
    """What an event says that it changes in the inventory."""
    if isinstance(event, ModelAppeared | ModelChanged | ModelVanished):
        return event.models
    return ()


def _moved(mirror: Mirror, envelope: Envelope, entries: dict[str, Copy], total: int) -> Mirror:
    """The mirror one step on, with what the machine says of itself. A new epoch begins with nothing said."""
    said = mirror.said if envelope.epoch == mirror.epoch else replace(mirror.said, readiness=None, assignment=None)
    match envelope.event:
        case MachineHello(host=host, version=version):
            said = replace(said, host=host, version=version)
        case ReadinessChanged() as readiness:
            said = Said(host=said.host, version=said.version, readiness=readiness, assignment=said.assignment)
        case AssignmentChanged() as assignment:
            said = replace(said, assignment=assignment)
    return Mirror(
        machine_id=mirror.machine_id,
        instance=envelope.instance,
        epoch=envelope.epoch,
        seq=envelope.seq,
        at=envelope.at,
        entries=entries,
        sum=total,
        said=said,
    )
