"""Answers in the shapes of StableQueue, for programs that were made for it. Whoever gets one knows that it went well: failures
are problems with a status of their own, never `success` false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

True_ = Literal[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueModel:
    """A row of the table `models`. `type` is checkpoint, lora, or the folder of anything else; `hash_autov2` the first ten
    digits of `hash_sha256`. `server_count` machines hold it, `verified` copies of them are proven. `is_duplicate`: its bytes
    have another place too. `has_preview` is null while nobody asked its machine. What nobody told is null."""

    id: int
    name: str
    type: str
    local_path: str
    filename: str
    civitai_id: str | None
    civitai_version_id: str | None
    forge_format: str | None
    hash_autov2: str | None
    hash_sha256: str | None
    civitai_model_name: str | None
    civitai_model_base: str | None
    civitai_model_type: str | None
    civitai_model_version_name: str | None
    civitai_model_version_desc: str | None
    civitai_model_version_date: str | None
    civitai_download_url: str | None
    civitai_trained_words: str | None
    civitai_file_size_kb: float | None
    metadata_status: Literal["complete", "partial", "none"]
    metadata_source: str
    has_embedded_metadata: bool | None
    last_used: str | None
    created_at: str | None
    preview_path: str | None
    preview_url: str | None
    civitai_nsfw: bool | None
    civitai_blurhash: str | None
    civitai_checked: Literal["found"] | None
    is_duplicate: bool
    duplicate_hash: str | None
    duplicate_group_size: int | None
    duplicate_group_index: int | None
    size: int | None
    has_preview: bool | None
    tags: tuple[str, ...]
    server_count: int
    verified: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueModels:
    """`count` of this page, from `offset` on, of `total`."""

    success: True_
    count: int
    total: int
    offset: int
    models: tuple[StableQueueModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueServer:
    """A machine that holds it. `last_seen` is ISO 8601 UTC; `own`: it runs this product, and read the bytes if `verified`;
    other machines only claim it."""

    server_id: str
    last_seen: str
    state: str
    own: bool
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueField:
    """A field that somebody told; `teller` manual goes before what a machine knows, that before civitai and server."""

    field: str
    value: Any
    teller: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueInfo:
    success: True_
    model: StableQueueModel
    servers: tuple[StableQueueServer, ...]
    fields: tuple[StableQueueField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueServers:
    success: True_
    servers: tuple[StableQueueServer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueDone:
    success: True_
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueOrder:
    """`order` was handed to `machines`; `GET /orders/{order}` says what becomes of it, and
    `/events/stream?kind=order.answered` tells it live."""

    success: True_
    message: str
    order: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueRefreshed:
    """`found` false: CivitAI does not know these bytes. That takes nothing away of what is known."""

    success: True_
    message: str
    found: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueBackup:
    """`backup`: the name of the copy beside the store."""

    success: True_
    message: str
    backup: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueSynced:
    """`models` that the server now claims; `skipped`: entries that were left out, and why."""

    success: True_
    server_id: str
    models: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueVerified:
    """`match_type` is sha256, autov2, version or null; `available`: a machine of ours has it, verified."""

    success: True_
    provided_value: str
    interpreted_as: Literal["model_hash", "civitai_version_id"]
    available: bool
    reason: str | None
    hash: str | None
    match_type: str | None
    model_info: StableQueueModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A value of a filter, and how many models have it."""

    value: str
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """Values to filter by, at most 500 of each; `folders` are directories of `folder/name`, by name."""

    bases: tuple[Facet, ...]
    tags: tuple[Facet, ...]
    types: tuple[Facet, ...]
    folders: tuple[Facet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueClaim:
    """A hash that another program claims."""

    algorithm: str
    hex: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueSource:
    """Where it could be had."""

    kind: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueVersion:
    """A model here of the same CivitAI model; `latest` of those, `own`: the one that was asked about."""

    id: int
    model: str
    version_id: str
    version_name: str
    latest: bool
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueRelease:
    """A version that CivitAI publishes. `published` is ISO 8601 UTC; `size` in bytes, about; `hash` is `sha256:…`. `here`: models
    with these bytes; `own`: the version that was asked about; `newer` than that, and for the same base model where both are told.
    `place` is where it would go, "" when it has no usable name: `POST /machines/{id}/fetch` takes that as `path`, with `sources` and
    `hash`."""

    version_id: str
    name: str
    base: str
    published: str
    file: str
    size: int | None
    hash: str | None
    sources: tuple[str, ...]
    place: str
    here: tuple[str, ...]
    own: bool
    newer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueCopy:
    """A file of it on a machine."""

    machine_id: str
    path: str
    size: int
    hash: str
    verified: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StableQueueKnown:
    """All that is known of a model. `machine_id` told what its index knows; null when none could, and `why`. `told` has every
    teller's word, the believed one of a field first. `needed_by` there; `workflows` of the fleet, `unknown` says why some may
    be missing. `last_used` by a job, seconds since 1970. `first_seen` and `verified_at` on that machine, ISO 8601 UTC. `releases`: what CivitAI
    said when it was `checked` (ISO 8601 UTC, "" for never); `listed`: whether its list has the model, null while it was not asked."""

    success: True_
    model: StableQueueModel
    machine_id: str | None
    why: str
    hashes: dict[str, str]
    told: tuple[StableQueueField, ...]
    claims: tuple[StableQueueClaim, ...]
    sources: tuple[StableQueueSource, ...]
    needed_by: tuple[str, ...]
    workflows: tuple[str, ...]
    unknown: str
    versions: tuple[StableQueueVersion, ...]
    releases: tuple[StableQueueRelease, ...]
    listed: bool | None
    checked: str
    files: tuple[StableQueueCopy, ...]
    servers: tuple[StableQueueServer, ...]
    first_seen: str
    verified_at: str
    last_used: int | None
