"""Answers in the shapes of StableQueue to what takes a while: scans, removals, a model anew, an import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.fleet.stablequeue.shapes import StableQueueModel, True_


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueScanStats:
    """`total` files of the machines that scan; `added` came, `updated` differ otherwise; `hashesCalculated` were read whole since
    the scan began, `hashesSkipped` had their hash already; `errors`: machines that could not do it."""

    total: int
    added: int
    updated: int
    hashesCalculated: int
    hashesSkipped: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueScanning:
    """A machine and its scan: waiting, begun, done, refused or dropped."""

    machine_id: str
    state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueScanState:
    """The scan that was asked for last. `hashing`: every directory was looked at, and `hashesWaiting` files are still to be read.
    `begun` is ISO 8601 UTC, empty while no machine has begun."""

    success: True_
    state: Literal["idle", "running", "stopping", "stopped", "hashing", "done"]
    order: str | None
    stats: StableQueueScanStats
    hashesWaiting: int
    machines: tuple[StableQueueScanning, ...]
    begun: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueFile:
    """A file of a model: model, metadata or preview."""

    type: str
    path: str
    machine_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueKept:
    """A file that stays, and why."""

    machine_id: str
    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueDeleted:
    """`dry_run`: nothing was touched, and `deletedFiles` would go; else they were moved aside. `restore` with `order` brings them
    back `until` then (ISO 8601 UTC; empty when there is nothing to bring back). `bytes` of the models."""

    success: True_
    message: str
    dry_run: bool
    order: str
    until: str
    deletedFiles: tuple[StableQueueFile, ...]
    errors: tuple[StableQueueKept, ...]
    bytes: int
    modelRemovedFromDatabase: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueRestored:
    success: True_
    message: str
    files: tuple[StableQueueFile, ...]
    errors: tuple[StableQueueKept, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueHashed:
    id: int
    filename: str
    hasHash: bool
    existingHash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueFileInfo:
    """`estimatedTime` in seconds, at 300 MB/s; no file is too large."""

    size: str
    sizeBytes: int
    canCalculateHash: bool
    reason: str
    estimatedTime: float
    estimatedTimeDisplay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueHashInfo:
    success: True_
    model: StableQueueHashed
    fileInfo: StableQueueFileInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueMetadata:
    model_name: str | None
    version_name: str | None
    base_model: str | None
    civitai_id: str | None
    civitai_version_id: str | None
    preview_downloaded: bool
    trained_words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueFetched:
    success: True_
    message: str
    metadata: StableQueueMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueUpdated:
    id: int
    filename: str
    updated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueOperations:
    """`hashOrder`: the order with which machines read it; `GET /orders/{order}` says what became of it."""

    hashCalculated: bool
    civitaiDataFetched: bool
    previewDownloaded: bool
    hashOrder: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueRescanned:
    success: True_
    message: str
    model: StableQueueUpdated
    stats: dict[str, int]
    operations: StableQueueOperations


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueFieldUpdated:
    success: True_
    message: str
    model: StableQueueModel


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueCleaned:
    success: True_
    message: str
    clearedCount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueListed:
    """A file as StableQueue's walk of a directory lists it. `previewAvailable` is null while nobody asked its machine."""

    id: int
    filename: str
    relativePath: str
    name: str
    baseModel: str | None
    modelId: str | None
    modelVersionId: str | None
    trainedWords: tuple[str, ...]
    hash: str | None
    previewAvailable: bool | None
    previewPath: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueWrong:
    """A row, or a part of it, that was left out."""

    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueImported:
    """What was taken of a StableQueue database: `rows` it has, `models` of them were understood, of which `here` are held by a
    machine; `words` were told of them, and `claims` of `servers` taken. `wrong`: the first thousand of `wrongs`. `dry_run`:
    nothing was entered."""

    success: True_
    message: str
    dry_run: bool
    rows: int
    models: int
    here: int
    words: int
    claims: int
    servers: tuple[str, ...]
    wrong: tuple[StableQueueWrong, ...]
    wrongs: int
