"""What is known of a model besides its bytes: fields with their source, claimed hashes, addresses to fetch it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from model_manager.facts import wording
from model_manager.facts.identity import Algorithm, Pin

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
"""Who said it: a Forge JSON, a CivitAI JSON (those of LoRA managers are such), the file's own header, CivitAI's API, an imported database, a person."""

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

    @classmethod
    def parse(cls, field: Field, value: object, teller: Teller, at: str) -> Told | None:
        """The word of a source, cleaned; None when it says nothing ("", "none", a text where a number belongs)."""
        written = _WRITTEN[field](value)
        return None if written is None else cls(field=field, value=written, teller=teller, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A hash of a file that another program computed or was told. It finds candidates and is never a proof: nobody of us
    read the bytes. `who` is the program: "a1111", "forge", "lora manager", "stability matrix", "rgthree", "huggingface",
    "comfygit", "stablequeue", "civitai", or "embedded" for the file's own header."""

    pin: Pin
    who: str

    @classmethod
    def parse(cls, text: object, who: str, algorithm: Algorithm | None = None) -> Claim | None:
        """The hash in a text, or None when it is none, or the hash of nothing (a tool that hashed an empty file)."""
        if not isinstance(text, str):
            return None
        digits = text.strip().lower().removeprefix("0x")
        pin = Pin.parse(digits if algorithm is None else f"{algorithm}:{digits}")
        if pin is None or len(set(pin.hex)) == 1 or any(empty.startswith(pin.hex) for empty in _OF_NOTHING):
            return None
        return cls(pin=pin, who=who)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a model can be had. `data` is what its kind of source needs to find it again (ids, repository, revision)."""

    kind: Literal["civitai", "huggingface", "url"]
    url: str
    data: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: object, data: Mapping[str, str] | None = None) -> Address | None:
        """An http(s) address, its kind by its exact host; None for what is none. Tokens in it are left out."""
        clean = wording.link(url)
        if clean is None:
            return None
        return cls(kind=_HOSTS.get(wording.host(clean), "url"), url=clean, data=dict(data or {}))


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
    quick: tuple[tuple[str, str], ...] = ()
    """Hashes over samples as (formula, hex): they find candidates and prove nothing. Formulas: "blake3_sample_v1",
    "xxh3_128_sample_v1"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something of another program that was left out, whole or in part: `where` it stands, and `why`. Neither need be
    printable."""

    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one source of another program knows of many files, and what of it could not be used."""

    lore: tuple[Lore, ...] = ()
    odd: tuple[Oddity, ...] = ()


class Said(NamedTuple):
    """What one record says of one model."""

    told: tuple[Told, ...] = ()
    claims: tuple[Claim, ...] = ()
    addresses: tuple[Address, ...] = ()


_WRITTEN: Final[Mapping[Field, wording.Writing]] = {
    "name": wording.name,
    "type": wording.kind,
    "civitai_id": wording.identity,
    "civitai_version_id": wording.identity,
    "forge_format": wording.name,
    "civitai_model_name": wording.name,
    "civitai_model_base": wording.name,
    "civitai_model_type": wording.name,
    "civitai_model_version_name": wording.name,
    "civitai_model_version_desc": wording.prose,
    "civitai_model_version_date": wording.date,
    "civitai_download_url": wording.link,
    "civitai_trained_words": wording.words,
    "civitai_file_size_kb": wording.amount,
    "civitai_nsfw": wording.flag,
    "preview_url": wording.link,
}

_OF_NOTHING: Final = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "d41d8cd98f00b204e9800998ecf8427e",
)
"""SHA-256, BLAKE3 and MD5 of no bytes at all."""

_HOSTS: Final[Mapping[str, Literal["civitai", "huggingface"]]] = {
    "civitai.com": "civitai",
    "www.civitai.com": "civitai",
    "civitai.red": "civitai",
    "huggingface.co": "huggingface",
    "www.huggingface.co": "huggingface",
    "hf.co": "huggingface",
}


def told_of(fields: Mapping[Field, object], teller: Teller, at: str) -> tuple[Told, ...]:
    """What a source says of many fields at once; what says nothing is left out."""
    parsed = (Told.parse(field, value, teller, at) for field, value in fields.items())
    return tuple(told for told in parsed if told)


_HASHES: Final[Mapping[str, Algorithm]] = {
    "sha256": "sha256",
    "hash_sha256": "sha256",
    "blake3": "blake3",
    "autov2": "autov2",
    "hash_autov2": "autov2",
    "autov3": "autov3",
    "crc32": "crc32",
    "tensor": "tensor",
}
"""What hashes are called, lower-case → what they are. AutoV1 is a hash over a part of the file and finds nothing."""


def claims_of(hashes: Mapping[str, object], who: str, *, short: bool = True) -> tuple[Claim, ...]:
    """The hashes of one record, known by their names. An AutoV2 counts when it begins the record's SHA-256; without one it
    counts only if `short` ones of this source are to be believed."""
    found: dict[Algorithm, Claim] = {}
    for label, value in hashes.items():
        algorithm = _HASHES.get(label.lower())
        if algorithm == "autov3" and isinstance(value, str) and len(value.strip()) == 64:
            algorithm = "tensor"
        if algorithm and (claim := Claim.parse(value, who, algorithm)):
            found.setdefault(algorithm, claim)
    full, begin = found.get("sha256"), found.get("autov2")
    if begin and not (full.pin.hex.startswith(begin.pin.hex) if full else short):
        del found["autov2"]
    return tuple(found.values())
