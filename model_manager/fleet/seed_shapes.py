"""Answers in the shapes of StableQueue, for programs that were made for it. Whoever gets one knows that it went well: failures
are problems with a status of their own, never `success` false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

True_ = Literal[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedModel:
    """A row of the table `models`. `type` is checkpoint, lora, or the folder of anything else; `hash_autov2` the first ten
    digits of `hash_sha256`. `server_count` machines hold it, `verified` copies of them are proven. What nobody told is null."""

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
    size: int | None
    has_preview: bool
    server_count: int
    verified: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedModels:
    """`count` of this page, from `offset` on, of `total`."""

    success: True_
    count: int
    total: int
    offset: int
    models: tuple[SeedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedServer:
    """A machine that holds it. `last_seen` is ISO 8601 UTC; `own`: it runs this product, and read the bytes if `verified`;
    other machines only claim it."""

    server_id: str
    last_seen: str
    state: str
    own: bool
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedField:
    """A field that somebody told; `teller` manual goes before civitai, that before server."""

    field: str
    value: Any
    teller: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedInfo:
    success: True_
    model: SeedModel
    servers: tuple[SeedServer, ...]
    fields: tuple[SeedField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedServers:
    success: True_
    servers: tuple[SeedServer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDone:
    success: True_
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOrder:
    """`order` was handed to `machines`; `GET /orders/{order}` says what becomes of it, and
    `/events/stream?kind=order.answered` tells it live."""

    success: True_
    message: str
    order: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRefreshed:
    """`found` false: CivitAI does not know these bytes. That takes nothing away of what is known."""

    success: True_
    message: str
    found: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedBackup:
    """`backup`: the name of the copy beside the store."""

    success: True_
    message: str
    backup: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSynced:
    """`models` that the server now claims; `skipped`: entries that were left out, and why."""

    success: True_
    server_id: str
    models: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedVerified:
    """`match_type` is sha256, autov2, version or null; `available`: a machine of ours has it, verified."""

    success: True_
    provided_value: str
    interpreted_as: Literal["model_hash", "civitai_version_id"]
    available: bool
    reason: str | None
    hash: str | None
    match_type: str | None
    model_info: SeedModel | None
