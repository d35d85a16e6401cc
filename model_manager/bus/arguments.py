"""Events and entries as the functions of `lua/` take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, assert_never

from model_manager.bus.functions import Argument
from model_manager.facts import wire
from model_manager.facts.event import (
    AssignmentChanged,
    DiskLow,
    DownloadFailed,
    DownloadStarted,
    DownloadVerified,
    Entry,
    Envelope,
    Event,
    Gone,
    InventorySnapshot,
    MachineBye,
    MachineHello,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    OrderAnswered,
    ReadinessChanged,
    RootBack,
    RootLost,
    ScanFinished,
    Unknown,
)

BATCH_EVENTS: Final = 200
BATCH_CHANGES: Final = 50
FEW_CHANGES: Final = 10
"""As many as one call takes of a large inventory."""

BATCH_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event ready to go: its arguments, the names whose index it may touch, and its size in changes and bytes."""

    envelope: Envelope
    arguments: tuple[Argument, ...]
    names: tuple[str, ...]
    changes: int
    bytes: int


def sent(envelope: Envelope, *, blind: bool = False) -> Sent:
    """The event and its changes; `blind` leaves the changes out."""
    changed = () if blind else changes(envelope.event)
    head = event(envelope)
    body = tuple(chain.from_iterable(_change(each) for each in changed))
    return Sent(
        envelope=envelope,
        arguments=(*head, str(len(changed)), *body),
        names=tuple(dict.fromkeys(each.name for each in changed)),
        changes=len(changed),
        bytes=sum(map(len, head)) + sum(map(len, body)),
    )


def event(envelope: Envelope) -> tuple[Argument, ...]:
    """epoch, seq, instance, kind, at, digest, data."""
    fields = wire.fields(envelope)
    return tuple(fields[name] for name in ("epoch", "seq", "instance", "kind", "at", "digest", "data"))


def changes(event: Event) -> tuple[Entry | Gone, ...]:
    """What an event changes in the inventory."""
    match event:
        case ModelAppeared() | ModelChanged() | ModelVanished():
            return event.models
        case MachineHello() | MachineBye() | InventorySnapshot() | AssignmentChanged() | ReadinessChanged():
            return ()
        case DownloadStarted() | DownloadVerified() | DownloadFailed() | ScanFinished():
            return ()
        case DiskLow() | RootLost() | RootBack() | OrderAnswered() | Unknown():
            return ()
        case _:
            assert_never(event)


def contents(entries: Sequence[Entry]) -> Iterator[Argument]:
    """How many, and each."""
    yield str(len(entries))
    for each in entries:
        yield from _change(each)


def _change(change: Entry | Gone) -> tuple[Argument, ...]:
    if isinstance(change, Gone):
        return change.path, "", change.name, "0", "0"
    return change.path, wire.dumps(change), change.name, "1" if change.verified else "0", str(change.size)


def counted(values: Iterable[str]) -> tuple[str, ...]:
    """How many, and each."""
    listed = tuple(values)
    return str(len(listed)), *listed


def batches(events: Iterable[Sent], most: int = BATCH_CHANGES) -> Iterator[list[Sent]]:
    """In order, each within the limits of one call, of which `most` is that of changes (a single event may exceed them)."""
    batch: list[Sent] = []
    changes = bytes_ = 0
    for each in events:
        changes, bytes_ = changes + each.changes, bytes_ + each.bytes
        if batch and (len(batch) == BATCH_EVENTS or changes > most or bytes_ > BATCH_BYTES):
            yield batch
            batch, changes, bytes_ = [], each.changes, each.bytes
        batch.append(each)
    if batch:
        yield batch
