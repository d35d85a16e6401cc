"""What is known of a model besides its bytes: fields with their source, claimed hashes, addresses to fetch it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from model_manager.facts.identity import Pin

Field = Literal[
    "name",
    "type",
    "civitai_id",
    "civitai_version_id",
    "forge_format",
    "civitai_model_name",
    "civitai_model_base",
    "civitai_model_type",
    "civitai_model_version_name",
    "civitai_model_version_desc",
    "civitai_model_version_date",
    "civitai_download_url",
    "civitai_trained_words",
    "civitai_file_size_kb",
    "civitai_nsfw",
    "preview_url",
]
"""StableQueue's column names; `civitai_trained_words` is the text of a JSON array, dates are ISO 8601, numbers decimal."""

Teller = Literal["forge", "civitai", "embedded", "civitai api", "stablequeue", "comfygit", "person"]
"""Who said it: a Forge JSON, a CivitAI JSON, the file's own header, CivitAI's API, an imported database, a person."""

ORDER: Final[tuple[Teller, ...]] = (
    "person", "forge", "civitai", "embedded", "civitai api", "stablequeue", "comfygit",
)  # fmt: skip
"""Of two who say something of a field, the earlier one is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One field of one model, as one source tells it. `value` is never empty; `at` is ISO 8601 UTC."""

    field: Field
    value: str
    teller: Teller
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A hash of a file that another program computed or was told. It finds candidates and is never a proof: nobody of us
    read the bytes. `who` is the program: "a1111", "lora manager", "huggingface", "comfygit", "stablequeue", "civitai"."""

    pin: Pin
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a model can be had. `data` is what its kind of source needs to find it again (ids, repository, revision)."""

    kind: Literal["civitai", "huggingface", "url"]
    url: str
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lore:
    """What another program knows of one file. `size` (bytes) and `mtime` (Unix seconds) are the file's when that was learnt,
    None where the program does not say; `file` is an absolute path."""

    file: str
    size: int | None = None
    mtime: float | None = None
    claims: tuple[Claim, ...] = ()
    told: tuple[Told, ...] = ()
    addresses: tuple[Address, ...] = ()
    preview: str = ""
    """Absolute path of a preview image, "" when there is none."""
