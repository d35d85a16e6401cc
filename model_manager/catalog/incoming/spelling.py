"""The fields of dirty records under every spelling that was seen, and what can be mended without guessing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from model_manager.catalog.incoming.findings import Finding, found
from model_manager.errors import printable
from model_manager.facts.identity import TOKEN_NAMES, Pin
from model_manager.facts.record import without_token

NAME: Final = ("name", "filename")
URL: Final = ("downloadUrl", "url", "download_url")
PATH: Final = ("saveTo", "save_path", "save_to")
GATED: Final = ("isAuthReq", "is_auth_req", "auth_required")
TOKEN: Final = ("authEnvVar", "auth_env_var", "auth_provider")
SIZE: Final = ("fileSize", "size", "file_size")
TYPE: Final = ("modelType", "model_type", "type")
BASE: Final = ("baseModel", "base_model")
LICENCE: Final = ("licence", "license")
VRAM: Final = ("vramGb", "vram_gb", "min_vram", "minVramGb")

KNOWN: Final = frozenset({
    "id", "kind", "current", "version", "description", "hash", "hashes", "sources", "dependencies", "file_size_gb", "source",
    *NAME, *URL, *PATH, *GATED, *TOKEN, *SIZE, *TYPE, *BASE, *LICENCE, *VRAM,
})  # fmt: skip
NOTHING: Final = frozenset({"", "null", "none", "undefined", "n/a"})
"""What others write for nothing."""

_BLOB: Final = re.compile(r"^(https?://(?:[\w-]+\.)*huggingface\.co/(?:[^/?#]+/){2,3})blob/", re.IGNORECASE)
_SPECIAL: Final = re.compile("[?#%]")
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")

LONGEST: Final = 512
"""Characters of a name or an id."""


def first(fields: Mapping[str, Any], spellings: Iterable[str]) -> Any:
    """The first spelling that has a value."""
    return next((fields[key] for key in spellings if fields.get(key) is not None), None)


def text(fields: Mapping[str, Any], spellings: Iterable[str]) -> str:
    """Trimmed; empty for what is no text, or one of the words for nothing."""
    value = first(fields, spellings)
    if not is_text(value):
        return ""
    return "" if value.strip().lower() in NOTHING else str(value.strip())


def is_text(value: object) -> bool:
    """Whether it is text that every database takes: no half surrogate pair, no NUL."""
    return isinstance(value, str) and not _NO_TEXT.search(value)


def is_name(value: str) -> bool:
    return 0 < len(value) <= LONGEST and value.isprintable() and value == value.strip()


def number(value: object) -> float | None:
    """A finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        return None
    return float(value)


def address(url: str, name: str) -> tuple[str, list[Finding]]:
    """The address, mended where there is only one way to: a page of a file on HuggingFace, a token in the query."""
    told: list[Finding] = []
    clean = without_token(url)
    if clean != url:
        told.append(found(name, "a token stood in its address", "fixed"))
    if _BLOB.match(clean):
        clean = _BLOB.sub(r"\1resolve/", clean)
        told.append(found(name, "its address was the page of the file (/blob/), not the file (/resolve/)", "fixed"))
    if differs(clean, name):
        last = printable(unquote(urlsplit(clean).path.rpartition("/")[2]), 100)
        told.append(found(name, f"its address is of a file named '{last}': it may be another model's", "kept"))
    return clean, told


def differs(url: str, name: str) -> bool:
    """Whether the address ends in the name of another model file."""
    own = name.rpartition("/")[2]
    if url.endswith(f"/{own}") and not _SPECIAL.search(url):
        return False
    try:
        last = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return False
    return "." in last and last.casefold() != own.casefold()


def digest(value: object, name: str) -> tuple[str | None, list[Finding]]:
    """The hash as written; None, with a finding, for what is none: nothing may pass for verified by it."""
    if value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return None, []
    if isinstance(value, str) and is_text(value) and Pin.parse(value):
        return value.strip(), []
    return None, [found(name, f"'{printable(value, 80)}' is no hash", "dropped")]


def digests(value: object, name: str) -> tuple[tuple[tuple[str, str], ...], list[Finding]]:
    """Hashes by algorithm."""
    if value is None:
        return (), []
    if not isinstance(value, Mapping):
        return (), [found(name, "its hashes are not by algorithm", "dropped")]
    good = {key.lower(): digits.strip().lower() for key, digits in value.items() if is_hash(key, digits)}
    bad = [found(name, f"its {printable(key, 40)} is no hash", "dropped") for key in value if key.lower() not in good]
    return tuple(sorted(good.items())), bad


def is_hash(algorithm: object, digits: object) -> bool:
    return (
        isinstance(algorithm, str)
        and isinstance(digits, str)
        and Pin.parse(f"{algorithm}:{digits.strip()}") is not None
    )


def token(fields: Mapping[str, Any], name: str) -> tuple[bool, str | None, list[Finding]]:
    """Whether a token is needed, and which of ours. The name of anything else is dropped: it is never looked up."""
    said, label = first(fields, GATED), text(fields, TOKEN)
    known = TOKEN_NAMES.get(label.lower())
    gated = said if isinstance(said, bool) else bool(known)
    told = []
    if label and known is None:
        told.append(found(name, f"'{printable(label, 60)}' is no token of ours", "dropped"))
    if said is not None and not isinstance(said, bool):
        told.append(found(name, "whether it needs a token is neither true nor false", "dropped"))
    return gated, known if gated else None, told
