"""A model as a row of StableQueue's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model_manager.facts import wording
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.stablequeue.shapes import StableQueueField, StableQueueModel, StableQueueServer
from model_manager.fleet.store import Word

TEXTS: Final = (
    "civitai_id",
    "civitai_version_id",
    "civitai_model_name",
    "civitai_model_base",
    "civitai_model_type",
    "civitai_model_version_name",
    "civitai_model_version_desc",
    "civitai_model_version_date",
    "civitai_download_url",
    "civitai_trained_words",
)
ASKED: Final = ("civitai", "civitai api")
"""Tellers who asked CivitAI by hash."""

WHOLE: Final = ("civitai_id", "civitai_version_id", "civitai_model_name", "civitai_model_base")
"""Fields with which a row's metadata are complete."""


def model(registry: Registry, place: str, preview: bool | None = None) -> StableQueueModel:
    """As of the last refresh of the store. `preview`: whether it has a picture, as far as anybody asked."""
    name = place.partition("/")[2]
    row, told = registry.row(place), registry.words(place)
    claims, sha256 = registry.claimants(place), registry.sha256(place)
    holders = registry.holders(place) if row else {}
    path = next((copy.path for copies in holders.values() for copy in copies), "")
    twins = registry.same(sha256) if sha256 else ()
    sizes = [each.size for _, each in claims if each.size is not None]
    known = {field: _text(told[field].value) if field in told else None for field in TEXTS}
    kilobytes = told["civitai_file_size_kb"].value if "civitai_file_size_kb" in told else None
    return StableQueueModel(
        id=number_of(place),
        name=_text(told["name"].value) if "name" in told else name.rpartition("/")[2].rpartition(".")[0],
        type=registry.type(place),
        local_path=path.removesuffix(name) if path.endswith(name) else path,
        filename=name,
        **known,
        forge_format=None,
        hash_autov2=sha256[:10] or None,
        hash_sha256=sha256 or None,
        civitai_file_size_kb=wording.number(kilobytes),
        metadata_status=_status(known),
        metadata_source=told["civitai_model_name"].teller if "civitai_model_name" in told else "none",
        has_embedded_metadata=None,
        last_used=None,
        created_at=None,
        size=row.size if row else max(sizes, default=None),
        preview_path=None,
        preview_url=_text(told["preview_url"].value) if "preview_url" in told else None,
        civitai_nsfw=_flag(told),
        civitai_blurhash=None,
        civitai_checked="found" if any(word.teller in ASKED for word in told.values()) else None,
        is_duplicate=len(twins) > 1,
        duplicate_hash=sha256 if len(twins) > 1 else None,
        duplicate_group_size=len(twins) if len(twins) > 1 else None,
        duplicate_group_index=twins.index(place) if len(twins) > 1 and place in twins else None,
        has_preview=preview,
        tags=registry.tags(place),
        server_count=len(holders) + len(claims),
        verified=row.verified if row else 0,
    )


def servers(registry: Registry, place: str) -> tuple[StableQueueServer, ...]:
    """Who holds it, or says so."""
    ours = tuple(
        StableQueueServer(
            server_id=machine_id,
            last_seen=beat.at if (beat := registry.view.heartbeat(machine_id)) else "",
            state=registry.view.state(machine_id),
            own=True,
            verified=any(copy.verified for copy in copies),
        )
        for machine_id, copies in registry.holders(place).items()
    )
    return ours + tuple(
        StableQueueServer(server_id=server, last_seen=each.at, state="claimed", own=False, verified=False)
        for server, each in registry.claimants(place)
    )


def fields(registry: Registry, place: str) -> tuple[StableQueueField, ...]:
    """What was told of it, and by whom."""
    return tuple(
        StableQueueField(field=name, value=word.value, teller=word.teller, at=word.at)
        for name, word in registry.words(place).items()
    )


def _flag(told: Mapping[str, Word]) -> bool | None:
    flag = wording.flag(told["civitai_nsfw"].value) if "civitai_nsfw" in told else None
    return None if flag is None else flag == "1"


def _status(known: dict[str, str | None]) -> Any:
    have = [known[name] for name in WHOLE]
    return "complete" if all(have) else "partial" if any(known.values()) else "none"


def _text(value: Any) -> str:
    """Lists as the table has them, apart by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
