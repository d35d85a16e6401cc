"""What a machine can be asked for through Redis, besides what it serves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from model_manager.errors import BadOrder, BadRecord
from model_manager.facts import wire

What = Literal["scan", "verify", "reload"]
"""scan: compare the model directories with the index; verify: read files again; reload: adopt changed settings."""

WHATS: Final = get_args(What)

STALE: Final = 600.0
"""Seconds after which an order that nobody took is dropped: who asked has long looked elsewhere."""

MOST_FILES: Final = 1_000
MAX_NAME: Final = 4_096
"""Characters of a file's name or path (PATH_MAX)."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`id` is its asker's, and says which orders are one. `files` to verify: absolute paths, `folder/name` or names; none =
    everything whose digest is known."""

    id: str
    what: What
    files: tuple[str, ...] = ()


def order_of(fields: Mapping[bytes, bytes]) -> Order:
    """The order in the fields of a stream entry: `order`, `what`, and `files` as a JSON list. Raises BadOrder."""
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
    except UnicodeDecodeError:
        raise BadOrder(id="", why="it is not UTF-8") from None
    identity = identity_of(text.get("order", ""))
    try:
        files = wire.loads(text["files"], "files") if text.get("files") else []
    except BadRecord:
        raise BadOrder(id=identity, why="its files are no JSON list") from None
    return order(identity, text.get("what", ""), files)


def order(identity: str, what: str, files: Any) -> Order:
    """Raises BadOrder for what nobody can be asked for."""
    if what not in WHATS:
        raise BadOrder(id=identity, why=f"'{what}' is none of {', '.join(WHATS)}")
    return Order(id=identity_of(identity), what=cast(What, what), files=_files(identity, what, files))


def fields_of(order: Order) -> dict[str, str | bytes]:
    """As a stream entry carries it."""
    fields: dict[str, str | bytes] = {"order": order.id, "what": order.what}
    return fields | ({"files": wire.dumps(order.files)} if order.files else {})


def identity_of(text: str) -> str:
    """Raises BadOrder for what is no id."""
    if not _ID.fullmatch(text):
        raise BadOrder(id=text, why="its id is not 1 to 64 letters, digits, '-' and '_'")
    return text


def _files(identity: str, what: str, files: Any) -> tuple[str, ...]:
    if not isinstance(files, list | tuple) or not all(isinstance(each, str) for each in files):
        raise BadOrder(id=identity, why="its files are no list of names")
    if files and what != "verify":
        raise BadOrder(id=identity, why=f"a {what} is asked for without files")
    if len(files) > MOST_FILES:
        raise BadOrder(id=identity, why=f"it names more than {MOST_FILES} files; leave them out to verify everything")
    for each in files:
        if not each or len(each) > MAX_NAME or "\0" in each:
            raise BadOrder(id=identity, why="a file's name is empty or too long")
    return tuple(dict.fromkeys(files))
