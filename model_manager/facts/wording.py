"""How other programs write a value, and how we do: dirty → clean text, or None for what says nothing.

Real rows hold ids as floats in text ("651553.0"), the word "none" where a field is unknown, upper-case hashes, lists as JSON or
with commas (StableQueue, docs/DATABASE_SCHEMA.md). Every function takes anything and raises nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from model_manager.errors import BadRecord
from model_manager.facts import wire

MAX_NAME: Final = 500
MAX_PROSE: Final = 100_000
MAX_URL: Final = 2048
MAX_WORD: Final = 1000
MAX_WORDS: Final = 200
"""Characters of a name, a description, an address and one trained word; how many of these."""

_LARGEST: Final = 2**53
_NOTHING: Final = frozenset({"", "none", "null", "unknown", "undefined", "nan", "n/a", "[]", "{}"})
_TYPES: Final = (
    ("lora", "lora"),
    ("locon", "lora"),
    ("dora", "lora"),
    ("checkpoint", "checkpoint"),
    ("textualinversion", "embedding"),
    ("textual-inversion", "embedding"),
)
_SECRET: Final = frozenset(
    {"token", "api_key", "apikey", "api-key", "key", "access_token", "auth", "password", "secret"}
)
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def prose(value: object, limit: int = MAX_PROSE) -> str | None:
    """Text of several lines, without control characters, cut at `limit`."""
    if not isinstance(value, str) or value.strip().lower() in _NOTHING:
        return None
    text = _HIDDEN.sub("", value[: 2 * limit].replace("\r\n", "\n")).encode("utf-8", "replace").decode()
    return text.strip()[:limit].strip() or None


def name(value: object) -> str | None:
    """Text on one line."""
    text = prose(value, MAX_NAME)
    return None if text is None else " ".join(text.split())


def kind(value: object) -> str | None:
    """A type of model, lower-case: whatever begins as LoRA, LoCon or DoRA is a "lora"."""
    text = name(value)
    if text is None or len(text) > 40:
        return None
    text = text.lower()
    return next((meant for begins, meant in _TYPES if text.startswith(begins)), text)


def number(value: object) -> float | None:
    """A finite number above zero, also where it is written as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > 40:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 < found < _LARGEST else None


def identity(value: object) -> str | None:
    """A positive whole number as decimal text."""
    found = number(value)
    return str(int(found)) if found is not None and found == int(found) else None


def amount(value: object) -> str | None:
    """A number as decimal text, with at most three places behind the point."""
    found = number(value)
    return None if found is None or round(found, 3) == 0 else f"{found:.3f}".rstrip("0").rstrip(".")


def flag(value: object) -> str | None:
    """Yes or no, as "1" or "0"."""
    if isinstance(value, str):
        text = value.strip().lower()
        return "1" if text in ("true", "1", "1.0", "yes") else "0" if text in ("false", "0", "0.0", "no") else None
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return str(int(value))
    return None


def date(value: object) -> str | None:
    """ISO 8601 in UTC to the second; a time without a zone is taken for UTC."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def words(value: object) -> str | None:
    """Trained words as the text of a JSON array: from a list, from such a text, or from text with commas."""
    found = list(dict.fromkeys(filter(None, map(_word, _listed(value)))))[:MAX_WORDS]
    return wire.dumps(found).decode() if found else None


def _listed(value: object) -> Iterable[object]:
    if isinstance(value, list):
        return value[: 10 * MAX_WORDS]
    if not isinstance(value, str) or len(value) > MAX_WORD * MAX_WORDS:
        return ()
    if value.lstrip().startswith("["):
        try:
            found = wire.loads_unique(value.encode("utf-8", "replace"), "trained words")
        except BadRecord:
            return ()
        return found[: 10 * MAX_WORDS] if isinstance(found, list) else ()
    return value.split(",")


def _word(value: object) -> str | None:
    text = prose(value, MAX_WORD)
    return None if text is None else " ".join(text.split()).strip(" ,") or None


def link(value: object) -> str | None:
    """An http or https address with a host and nobody's credentials: a user name refuses it, a token in it is left out."""
    if not isinstance(value, str) or not value.isprintable():
        return None
    text = value.strip()
    parts = _split(text)
    if parts is None or len(text) > MAX_URL or " " in text or "\\" in text:
        return None
    return urlunsplit((parts.scheme, parts.netloc, parts.path, _spoken(parts.query), ""))


def host(address: str) -> str:
    """The exact host of an address, lower-case; "" for what is none."""
    parts = _split(address)
    return (parts.hostname or "") if parts else ""


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    return parts if known else None


def _spoken(query: str) -> str:
    """A query without its secrets; one that holds none is left as it is."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return ""
    open_ = [(key, value) for key, value in pairs if key.lower() not in _SECRET]
    return query if len(open_) == len(pairs) else urlencode(open_)


Writing = Callable[[object], str | None]
