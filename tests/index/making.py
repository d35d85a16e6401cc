"""Held files for tests, and a reader that believes only what it is told."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from model_manager.facts import wire
from model_manager.facts.disk import Diff, Evidence, Fingerprint, Held, InventoryDigest
from model_manager.facts.event import Entry, Envelope, InventorySnapshot, ModelAppeared, ModelChanged, ModelVanished
from model_manager.facts.identity import Digests, MachineId
from model_manager.facts.shelf import ShelfPath
from model_manager.index.store import Store

AT = "2026-01-02T03:04:05Z"
MACHINE = MachineId("machine-1")
ROOT = "/srv/models"


def held(
    name: str = "a.safetensors",
    *,
    folder: str = "checkpoints",
    root: str = ROOT,
    size: int = 1000,
    inode: int = 7,
    content: str | None = None,
    mtime_ns: int = 1_700_000_000_000_000_000,
    evidence: Evidence | None = None,
    against: str = "",
) -> Held:
    """A file; with `content` it was read whole."""
    return Held(
        file=f"{root}/{folder}/{name}",
        root=root,
        shelf=ShelfPath(folder=folder, name=name),
        fingerprint=Fingerprint(device=2049, inode=inode, size=size, mtime_ns=mtime_ns),
        digests=None if content is None else digests(content),
        evidence=evidence,
        against=against,
        verified_at=AT if evidence else "",
    )


def digests(content: str) -> Digests:
    raw = content.encode()
    return Digests(
        sha256=hashlib.sha256(raw).hexdigest(),
        blake3=hashlib.blake2s(raw).hexdigest(),
        md5=hashlib.md5(raw).hexdigest(),
        crc32=f"{zlib.crc32(raw):08x}",
        tensor=hashlib.sha256(b"tail" + raw).hexdigest(),
    )


def opened(path: Path | str, *, patience: float = 12.0) -> Store:
    store = Store(str(path), patience=patience)
    store.open()
    return store


def begun(path: Path | str) -> Store:
    store = opened(path)
    store.begin_epoch(1, MACHINE)
    return store


def told(envelopes: Sequence[Envelope]) -> dict[str, Entry]:
    """What a reader holds after these envelopes; it insists on every seq of each epoch, and that nothing is said twice."""
    view: dict[str, Entry] = {}
    epoch = seq = 0
    for envelope in envelopes:
        assert envelope.epoch >= epoch
        seq = seq + 1 if envelope.epoch == epoch else 1
        epoch = envelope.epoch
        assert envelope.seq == seq
        match envelope.event:
            case ModelAppeared(models=models):
                assert not view.keys() & {entry.path for entry in models}
                view |= {entry.path: entry for entry in models}
            case ModelChanged(models=models):
                assert all(view[entry.path] != entry for entry in models)
                view |= {entry.path: entry for entry in models}
            case ModelVanished(models=gone):
                for model in gone:
                    del view[model.path]
            case InventorySnapshot(models=count):
                assert count == len(view)
    return view


def insist_that_it_is_whole(store: Store) -> None:
    """Rows, running sums and an outbox from which nothing was delivered agree to the last file."""
    rows, totals, waiting = store.held(), store.totals(), store.outbox(100_000)
    assert totals.digest == str(InventoryDigest().adding(rows))
    assert (totals.models, totals.bytes) == (len(rows), sum(row.fingerprint.size for row in rows))
    insist_that_contents_are_whole(store)
    assert told(waiting) == {row.file: wire.entry(row) for row in rows}
    if waiting:
        assert waiting[-1].digest == totals.digest


def insist_that_contents_are_whole(store: Store) -> None:
    """Every location has its content and directory, no content that nobody read lies nowhere, and no two are the same."""
    for query in (
        "SELECT id FROM location WHERE content_id NOT IN (SELECT id FROM content)",
        "SELECT id FROM location WHERE directory_id NOT IN (SELECT id FROM directory)",
        "SELECT id FROM content WHERE sha256 IS NULL AND blake3 IS NULL AND id NOT IN (SELECT content_id FROM location)",
        "SELECT sha256 FROM content WHERE sha256 IS NOT NULL GROUP BY sha256 HAVING count(*) > 1",
        "SELECT l.id FROM location AS l JOIN content AS c ON c.id = l.content_id WHERE l.knows & 1 AND c.sha256 IS NULL",
        "SELECT l.id FROM location AS l JOIN content AS c ON c.id = l.content_id WHERE l.knows & 2 AND c.blake3 IS NULL",
    ):
        assert store._db.execute(query).fetchall() == [], query


def history(steps: int) -> Iterable[Diff]:
    """A long life: files come, are read, are judged and go."""
    for step in range(steps):
        came = tuple(held(f"{step}-{n}.gguf", size=step * 10 + n) for n in range(3))
        yield Diff(appeared=came)
        read = tuple(held(f"{step}-{n}.gguf", size=step * 10 + n, content=f"{step}-{n}") for n in range(3))
        yield Diff(changed=read)
        judged = held(f"{step}-2.gguf", size=step * 10 + 2, content=f"{step}-2", evidence="pin")
        yield Diff(vanished=read[:1], changed=(judged,), appeared=(held(f"{step}-x.gguf", folder="loras"),))
