"""Which file does a node fetch when it runs, from where, into which folder?

Such nodes differ in the names and the order of their widgets, not in what they are told: an address, a folder, a file name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from model_manager.decisions.workflows.listing import address
from model_manager.decisions.workflows.recognising import has_ending, placed
from model_manager.facts.graph import Node, Value
from model_manager.facts.loaders import known_folders
from model_manager.facts.loaders_custom import DOWNLOADERS
from model_manager.facts.shelf import CATEGORY_OF

_FETCHES = re.compile(r"download|fetch|from_?url", re.IGNORECASE)
_FOLDERS: Final = re.compile(
    r"save_?(to|dir|path|folder)|target_?(dir|directory|folder)|model_?(type|category)|local_?path|(sub)?folder|directory|"
    r"download_?path|dest(ination)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """What such a node fetches. `value` is the one that names the file, None when only the address does; `sure`: folder and name were both told."""

    url: str
    folder: str
    name: str
    value: Value | None
    sure: bool


def fetched(node: Node, texts: Sequence[Value]) -> Fetch | None:
    """The file that this node fetches, None when it is no such node or names no file."""
    addresses = [value for value in texts if _is_address(value.content)]
    known = node.type in DOWNLOADERS
    if not addresses or not (known or _FETCHES.search(node.type) or any(_is_file(v.content) for v in addresses)):
        return None
    link = addresses[0]
    others = [value for value in texts if not _is_address(value.content)]
    folder = _folder(others)
    naming = next((value for value in others if has_ending(value.content)), None)
    name = str(naming.content).strip().replace("\\", "/") if naming else _path(link.content).rpartition("/")[2]
    if not has_ending(name):
        return None
    inside, rest = placed(name)
    if not folder:
        folder, name = inside, rest
    folder, _, sub = folder.partition("/")
    name = f"{sub}/{name}" if sub else name
    return Fetch(url=address(link.content), folder=folder, name=name, value=naming, sure=bool(folder and naming))


def _folder(values: Sequence[Value]) -> str:
    """The value that is the name of a folder: by the name of its input, or because it is one."""
    texts = [(value.input, str(value.content).strip().replace("\\", "/").strip("/")) for value in values]
    candidates = [text for name, text in texts if _FOLDERS.fullmatch(name)]
    for text in (*candidates, *(text for _, text in texts if text in known_folders())):
        head = text.removeprefix("ComfyUI/").removeprefix("models/")
        if head and not has_ending(head) and len(head) < 100 and " " not in head:
            first, slash, rest = head.partition("/")
            return CATEGORY_OF.get(first, first) + slash + rest
    return ""


def _is_address(text: str) -> bool:
    return text.strip().startswith(("https://", "http://")) and "\n" not in text.strip() and len(text) < 2048


def _is_file(link: str) -> bool:
    """Whether an address is that of a model file: by its ending, or as CivitAI numbers them."""
    path = _path(link)
    return has_ending(path) or path.startswith("/api/download/models/")


def _path(link: str) -> str:
    try:
        return unquote(urlsplit(link.strip()).path)
    except ValueError:
        return ""
