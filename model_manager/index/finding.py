"""What a person means who types a name, a path, the beginning of a hash or an address: where it is looked up, in order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from model_manager.facts.shelf import CATEGORY_OF

LAST: Final = "\U0010ffff"
_HEX = re.compile(r"[0-9a-f]{6,64}")


PART_OF_NAME: Final = "part of name"
PART_OF_PATH: Final = "part of path"
"""What no query answers, but naming and paths."""

SURE: Final = 8
"""Hex digits from which on nobody means a name by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A query, or one of the two above, and its values. `enough`: when it finds something, nobody looks for what only resembles it."""

    query: str
    values: dict[str, Any]
    enough: bool = False


def lookups(text: str, folder: str | None, limit: int) -> Iterator[Lookup]:
    """What is meant exactly first, then what begins so, then what contains it."""
    plain = _writable(text.strip())
    spelt = spelling(plain).removeprefix("models/").lstrip("/")
    values = {"text": spelt, "limit": limit, **within(folder)}
    if plain.startswith("/"):
        yield Lookup(query="find_file", values={"text": plain, "limit": limit}, enough=True)
    if "://" in plain:
        yield Lookup(query="find_url", values=values | {"text": plain}, enough=True)
        return
    if not spelt:
        return
    yield Lookup(query="find_name", values=values | {"base": spelt.rpartition("/")[2]}, enough=True)
    if _HEX.fullmatch(plain.lower()):
        yield Lookup(query="find_hash", values=values | {"hex": plain.lower()}, enough=len(plain) >= SURE)
    first, slash, rest = spelt.partition("/")
    if values["category"]:
        below = rest if slash and within(first)["category"] == values["category"] else spelt
        yield Lookup(query=PART_OF_NAME, values=values | {"text": below})
        yield Lookup(query=PART_OF_PATH, values=values | {"text": below})
    elif slash or folder:
        if rest:
            yield Lookup(query="find_path_prefix", values={**within(first), "text": rest, "limit": limit})
        yield Lookup(query=PART_OF_PATH, values=values)
    else:
        yield Lookup(query="find_prefix", values={"text": spelt, "limit": limit})
        yield Lookup(query=PART_OF_NAME, values=values)
        yield Lookup(query=PART_OF_PATH, values=values)


def within(folder: str | None) -> dict[str, str]:
    """The limits of a folder (`loras`, `loras/style`; legacy names too) within the order of category and slot."""
    first, _, rest = spelling(folder or "").removeprefix("models/").strip("/").partition("/")
    return {
        "category": CATEGORY_OF.get(first, first),
        "above": f"{rest}/" if rest else "",
        "below": f"{rest}0" if rest else LAST,
    }


def spelling(text: str) -> str:
    """As slots are spelt: in composed form, without regard to case, with forward slashes."""
    return unicodedata.normalize("NFC", _writable(text.replace("\\", "/"))).casefold()


def _writable(text: str) -> str:
    """Arguments that are no UTF-8 reach Python with lone surrogates, which SQLite does not take: no name has them."""
    return text.encode(errors="backslashreplace").decode()
