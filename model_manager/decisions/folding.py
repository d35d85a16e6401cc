"""What is known of a machine after this envelope?"""

from __future__ import annotations

from model_manager.facts.event import AssignmentChanged, Envelope, MachineHello, ReadinessChanged
from model_manager.facts.mirror import (
    MODULUS,
    Copy,
    Laid,
    Mirror,
    Repeat,
    Resync,
    Said,
    Verdict,
    departed,
    laid,
)


def fold(mirror: Mirror | None, envelope: Envelope, changes: Laid | None = None) -> Verdict:
    """The rules of docs/events.md for one entry of the stream. `changes` are what it lays over the inventory: its owner has them
    of copies that are shared; without them they are made. The owner lays them over the entries of the mirror that comes out.

    Kinds and shapes that are unknown change nothing that we see; the digest says whether that is true.
    """
    if mirror is None:
        return _of_a_stranger(envelope)
    machine, _, known, last, entries, total, _, said, _ = mirror
    epoch, seq, kind = envelope.epoch, envelope.seq, envelope.kind
    if seq != last + 1 or epoch != known or kind == "machine.bye":
        return _out_of_order(mirror, envelope)
    if changes is None:
        changes = laid(envelope)
    if changes:
        total = _summed(entries, total, changes)
    if total.to_bytes(16, "big").hex() != envelope.digest:  # half the time of formatting it
        return Resync(f"the digest after {kind} {epoch}-{seq}")
    if kind in _TELLING:
        said = _said(mirror, envelope)
    return tuple.__new__(Mirror, (machine, envelope.instance, epoch, seq, entries, total, envelope.at, said, False))


def _of_a_stranger(envelope: Envelope) -> Verdict:
    if envelope.kind == "machine.bye":
        return _gone(envelope)
    return Resync(f"{envelope.kind} of an unknown machine")


def _out_of_order(mirror: Mirror, envelope: Envelope) -> Verdict:
    epoch, seq, kind = envelope.epoch, envelope.seq, envelope.kind
    if (epoch, seq) <= mirror.position:
        return Repeat()
    if kind == "machine.bye":
        return _gone(envelope)
    if kind == "machine.hello" and envelope.digest == mirror.digest:
        said = _said(mirror, envelope)
        return mirror._replace(instance=envelope.instance, epoch=epoch, seq=seq, at=envelope.at, said=said, left=False)
    return Resync(f"a hole between {mirror.epoch}-{mirror.seq} and {kind} {epoch}-{seq}")


def _gone(envelope: Envelope) -> Mirror:
    return departed(envelope.machine_id, (envelope.epoch, envelope.seq), envelope.at, envelope.instance)


def _summed(entries: dict[str, Copy], total: int, changes: Laid) -> int:
    """The digest as a number with these laid over the entries; a path may come twice."""
    if len(changes) == 1:
        ((path, new),) = changes
        old = entries.get(path)
        return (total - (old.term if old is not None else 0) + (new.term if new is not None else 0)) % MODULUS
    seen: dict[str, Copy | None] = {}
    for path, new in changes:
        old = seen[path] if path in seen else entries.get(path)
        if old is not None:
            total -= old.term
        if new is not None:
            total += new.term
        seen[path] = new
    return total % MODULUS


def _said(mirror: Mirror, envelope: Envelope) -> Said:
    """What the machine says of itself. A new epoch begins with nothing said."""
    said = mirror.said
    if envelope.epoch != mirror.epoch:
        said = said._replace(readiness=None, assignment=None)
    if envelope.kind not in _TELLING:
        return said
    event = envelope.event
    if type(event) is ReadinessChanged:  # which each machine tells again and again
        return tuple.__new__(Said, (said[0], said[1], event, said[3]))
    match event:
        case MachineHello(host=host, version=version):
            return said._replace(host=host, version=version)
        case AssignmentChanged() as assignment:
            return said._replace(assignment=assignment)
    return said


_TELLING = frozenset({"machine.hello", "readiness.changed", "assignment.changed"})
