"""What is known of a machine after this envelope?"""

from __future__ import annotations

from dataclasses import replace

from model_manager.facts.event import AssignmentChanged, Envelope, MachineHello, ReadinessChanged
from model_manager.facts.mirror import (
    MODULUS,
    Copy,
    Folded,
    Laid,
    Mirror,
    Read,
    Repeat,
    Resync,
    Said,
    Verdict,
    departed,
    laid,
)


def fold(mirror: Mirror | None, envelope: Envelope, read: Read = laid) -> Verdict:
    """The rules of docs/events.md for one entry of the stream. `read` says what an envelope lays over the inventory.

    Kinds and shapes that are unknown change nothing that we see; the digest says whether that is true.
    """
    epoch, seq, kind = envelope.epoch, envelope.seq, envelope.kind
    if mirror is not None and seq == mirror.seq + 1 and epoch == mirror.epoch and kind != "machine.bye":
        return _next(mirror, envelope, read(envelope))  # nearly all of them
    if mirror is not None and (epoch, seq) <= (mirror.epoch, mirror.seq):
        return Repeat()
    if kind == "machine.bye":
        return Folded(departed(envelope.machine_id, (epoch, seq), envelope.at, envelope.instance))
    if mirror is None:
        return Resync(f"{kind} of an unknown machine")
    if kind == "machine.hello" and envelope.digest == mirror.digest:
        return Folded(_moved(mirror, envelope, mirror.sum))
    return Resync(f"a hole between {mirror.epoch}-{mirror.seq} and {kind} {epoch}-{seq}")


def _next(mirror: Mirror, envelope: Envelope, changes: Laid) -> Verdict:
    total = _summed(mirror.entries, mirror.sum, changes) if changes else mirror.sum
    if f"{total:032x}" != envelope.digest:
        return Resync(f"the digest after {envelope.kind} {envelope.epoch}-{envelope.seq}")
    return Folded._make((_moved(mirror, envelope, total), changes))


def _summed(entries: dict[str, Copy], total: int, changes: Laid) -> int:
    """The digest as a number with these laid over the entries; a path may come twice."""
    seen: dict[str, Copy | None] = {}
    for path, new in changes:
        old = seen[path] if path in seen else entries.get(path)
        if old is not None:
            total -= old.term
        if new is not None:
            total += new.term
        seen[path] = new
    return total % MODULUS


def _moved(mirror: Mirror, envelope: Envelope, total: int) -> Mirror:
    """In the order of its fields: naming them takes longer than the rest of this."""
    silent = envelope.epoch == mirror.epoch and envelope.kind not in _TELLING
    said = mirror.said if silent else _said(mirror, envelope)
    instance, epoch, seq = envelope.instance, envelope.epoch, envelope.seq
    return Mirror._make(
        (mirror.machine_id, instance, epoch, seq, mirror.entries, total, envelope.at, said, False),
    )


def _said(mirror: Mirror, envelope: Envelope) -> Said:
    """What the machine says of itself. A new epoch begins with nothing said."""
    said = mirror.said
    if envelope.epoch != mirror.epoch:
        said = replace(said, readiness=None, assignment=None)
    if envelope.kind not in _TELLING:
        return said
    match envelope.event:
        case MachineHello(host=host, version=version):
            return replace(said, host=host, version=version)
        case ReadinessChanged() as readiness:
            return Said(host=said.host, version=said.version, readiness=readiness, assignment=said.assignment)
        case AssignmentChanged() as assignment:
            return Said(host=said.host, version=said.version, readiness=said.readiness, assignment=assignment)
    return said


_TELLING = frozenset({"machine.hello", "readiness.changed", "assignment.changed"})
