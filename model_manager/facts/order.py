"""What a machine can be asked for through Redis, besides what it serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from model_manager.errors import BadOrder, BadRecord
from model_manager.facts import wire

What = Literal["scan", "verify", "reload", "describe", "remove", "restore", "stop", "fetch"]
"""scan: compare the model directories with the index; verify: read files again; reload: adopt changed settings; describe: tell
what is known of files; remove: set files aside, or say what that would come to; restore: bring back what an order set aside;
stop: end the scans that others asked for; fetch: have models beside the assignment."""

WHATS: Final = ("scan", "verify", "reload")
"""Those that need no answer but that they are done."""

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "describe": frozenset({"preview"}),
    "remove": frozenset({"confirm", "force"}),
}
"""What an order may say besides its files. preview: with the pictures; confirm: do it, for without it is only said what would
be done; force: also what an assignment needs."""

STALE: Final = 600.0
"""Seconds after which an order that nobody took is dropped: who asked has long looked elsewhere."""

MOST_FILES: Final = 1_000
MOST_SHOWN: Final = 16
"""Files that are described with their pictures in one order."""

MAX_NAME: Final = 4_096
"""Characters of a file's name or path (PATH_MAX)."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`id` is its asker's, and says which orders are one. `files` to verify: absolute paths, `folder/name` or names; none =
    everything whose digest is known. `files` to restore: the id of the order that set them aside; to fetch: each model as JSON (facts/asked.py)."""

    id: str
    what: What
    files: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()


def order_of(fields: Mapping[bytes, bytes]) -> Order:
    """The order in the fields of a stream entry: `order`, `what`, `files` as a JSON list, and `options`, apart by blanks. Raises BadOrder."""
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
    except UnicodeDecodeError:
        raise BadOrder(id="", why="it is not UTF-8") from None
    identity = identity_of(text.get("order", ""))
    try:
        files = wire.loads(text["files"], "files") if text.get("files") else []
    except BadRecord:
        raise BadOrder(id=identity, why="its files are no JSON list") from None
    return order(identity, text.get("what", ""), files, text.get("options", "").split())


def order(identity: str, what: str, files: Any, options: Iterable[str] = ()) -> Order:
    """Raises BadOrder for what nobody can be asked for."""
    if what not in (known := get_args(What)):
        raise BadOrder(id=identity, why=f"'{what}' is none of {', '.join(known)}")
    made = Order(
        id=identity_of(identity),
        what=cast(What, what),
        files=_files(identity, what, files),
        options=frozenset(options),
    )
    if odd := sorted(made.options - OPTIONS.get(what, frozenset())):
        raise BadOrder(id=identity, why=f"a {what} has no option '{odd[0]}'")
    return made


def fields_of(order: Order) -> dict[str, str | bytes]:
    """As a stream entry carries it."""
    fields: dict[str, str | bytes] = {"order": order.id, "what": order.what}
    fields |= {"files": wire.dumps(order.files)} if order.files else {}
    return fields | ({"options": " ".join(sorted(order.options))} if order.options else {})


def identity_of(text: str) -> str:
    """Raises BadOrder for what is no id."""
    if not _ID.fullmatch(text):
        raise BadOrder(id=text, why="its id is not 1 to 64 letters, digits, '-' and '_'")
    return text


def _files(identity: str, what: str, files: Any) -> tuple[str, ...]:
    if not isinstance(files, list | tuple) or not all(isinstance(each, str) for each in files):
        raise BadOrder(id=identity, why="its files are no list of names")
    if files and what in ("scan", "reload", "stop"):
        raise BadOrder(id=identity, why=f"a {what} is asked for without files")
    if not files and what in ("describe", "remove", "restore", "fetch"):
        raise BadOrder(id=identity, why=f"a {what} must name its files")
    if len(files) > MOST_FILES:
        raise BadOrder(id=identity, why=f"it names more than {MOST_FILES} files; leave them out to verify everything")
    for each in files:
        if not each or len(each) > MAX_NAME or "\0" in each:
            raise BadOrder(id=identity, why="a file's name is empty or too long")
    return tuple(dict.fromkeys(files))
