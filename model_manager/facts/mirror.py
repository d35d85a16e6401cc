"""What a reader of the stream knows of a machine: its inventory as of one (epoch, seq), and what it said of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from model_manager.facts.event import (
    AssignmentChanged,
    Entry,
    Envelope,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    ReadinessChanged,
)

MODULUS = 2**128

CopyKey = tuple[str, int, str, bool, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A file at its place, without what differs from machine to machine, so that all mirrors that hold it can share one.

    `size` in bytes, `hash` is SHA-256 hex or empty, `evidence` empty while unverified; `term` is what it adds to the digest.
    """

    folder: str
    name: str
    path: str
    size: int
    hash: str
    verified: bool
    evidence: str
    term: int
    key: CopyKey = field(repr=False, compare=False)
    """Everything that tells it from others."""
    place: str = field(repr=False, compare=False)
    """`folder/name`."""


def copy_of(entry: Entry) -> Copy:
    """What a mirror keeps of an entry."""
    return made(key_of(entry))


def key_of(entry: Entry) -> CopyKey:
    return entry.path, entry.size, entry.hash, entry.verified, entry.folder, entry.name, entry.evidence


def made(key: CopyKey) -> Copy:
    """The copy that a key tells from others."""
    path, size, sha256, verified, folder, name, evidence = key
    return Copy(
        folder=folder,
        name=name,
        path=path,
        size=size,
        hash=sha256,
        verified=verified,
        evidence=evidence,
        term=term(path, size, sha256, verified),
        key=key,
        place=f"{folder}/{name}",
    )


Laid = Sequence[tuple[str, Copy | None]]
"""Absolute path → what lies there now, in order."""


def laid(envelope: Envelope, share: Callable[[Entry], Copy] = copy_of) -> Laid:
    """What an event says that it changes in the inventory; `share` says which Copy stands for an entry."""
    event = envelope.event
    if isinstance(event, ModelAppeared | ModelChanged):
        return [(each.path, share(each)) for each in event.models]
    if isinstance(event, ModelVanished):
        return [(each.path, None) for each in event.models]
    return ()


def term(path: str, size: int, sha256: str, verified: bool) -> int:
    """One file's part of the inventory's digest, as docs/events.md defines it."""
    line = f"{path}\0{size}\0{sha256}\0{1 if verified else 0}"
    return int.from_bytes(hashlib.sha256(line.encode("utf-8", "surrogateescape")).digest()[:16], "big")


def summed(copies: Iterable[Copy]) -> int:
    """The digest of these as a number."""
    return sum(copy.term for copy in copies) % MODULUS


class Said(NamedTuple):
    """What events of a machine said of it: empty or None until one does, and only of its present epoch."""

    host: str = ""
    version: str = ""
    readiness: ReadinessChanged | None = None
    assignment: AssignmentChanged | None = None


class Mirror(NamedTuple):
    """A machine as of (`epoch`, `seq`), which was `at` (ISO 8601 UTC). `entries` is by absolute path, `sum` their digest as
    a number. Its owner alone changes `entries`, when it takes the next step: do not keep them. `left`: it said goodbye or was
    withdrawn, and offers nothing.
    """

    machine_id: str
    instance: str
    epoch: int
    seq: int
    entries: dict[str, Copy]
    sum: int
    at: str
    said: Said
    left: bool = False

    @property
    def position(self) -> tuple[int, int]:
        return self.epoch, self.seq

    @property
    def digest(self) -> str:
        """32 hex digits."""
        return f"{self.sum:032x}"

    @property
    def host(self) -> str:
        return self.said.host

    @property
    def version(self) -> str:
        return self.said.version

    @property
    def readiness(self) -> ReadinessChanged | None:
        return self.said.readiness

    @property
    def assignment(self) -> AssignmentChanged | None:
        return self.said.assignment

    @property
    def bytes(self) -> int:
        return sum(copy.size for copy in self.entries.values())


def departed(machine_id: str, position: tuple[int, int], at: str, instance: str = "") -> Mirror:
    """What is left of a machine that said goodbye or was withdrawn: its place in its history."""
    epoch, seq = position
    return Mirror(
        machine_id=machine_id, instance=instance, epoch=epoch, seq=seq, entries={}, sum=0, at=at, said=Said(), left=True
    )


@dataclass(frozen=True, slots=True)
class Repeat:
    """It is known already, or was told by a process that a later one has replaced."""


@dataclass(frozen=True, slots=True)
class Resync:
    """The inventory cannot be concluded from it: read the machine's hash. The mirror stays what it was."""

    why: str


Verdict = Mirror | Repeat | Resync
"""A mirror is the next one as soon as its owner has laid the changes over its entries, in order: ten thousand entries are not
copied for the sake of one."""

Fold = Callable[[Mirror | None, Envelope, Laid], Verdict]
