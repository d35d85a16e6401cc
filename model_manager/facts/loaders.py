"""How nodes take models: which of their inputs name a file, and in which folder it lies.

A loader is written on one line, its widgets in the order in which the editor saves them:

    weight_dtype                a widget that names no model
    ckpt_name=checkpoints       a file of this folder; `vae+vae_approx`: where it belongs, then where else the node looks
    model_path=diffusers/       a directory, unless the value ends like a file
    lora=loras.                 a name without its ending, found in any subfolder
    model=LLM@                  something that the node fetches by itself into this folder
    num_loras!                  how many of the rows count
    switch_#?                   whether its row counts
    select^                     the one row that counts
    text~                       a text whose tags nobody loads
    [lora_#=loras wt_#]         rows: the widgets repeat, `#` is the number of the row, from 1 (`#0`: from 0)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Final, Literal

from model_manager.facts.loaders_builtin import BUILTIN_LOADERS
from model_manager.facts.loaders_custom import CUSTOM_LOADERS
from model_manager.facts.shelf import CATEGORY_OF

Role = Literal["", "file", "directory", "stem", "fetched", "count", "switch", "choice", "unread"]

_MARKS: Final[dict[str, Role]] = {"/": "directory", ".": "stem", "@": "fetched"}
_PLAIN: Final[dict[str, Role]] = {"!": "count", "?": "switch", "^": "choice", "~": "unread"}
LONGEST: Final = 200
"""Characters of the name of a type; names come from outside and are remembered."""

_ROWS = re.compile(r"\[(?P<rows>[^\]]*)\]")
_VARIANT = re.compile(r"(?:DisTorch2?)?(?:MultiGPU|MGPU)$|DisTorch2?$|DynamicVRAM$|\|pysssss$|_Cached$")
"""Nodes that wrap another and keep its inputs (ComfyUI-MultiGPU, ComfyUI-LTXVideo, ComfyUI-GGUF, Custom-Scripts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widget:
    """One input of a loader. `folders` come in the order: where the file belongs, where else the node looks."""

    name: str
    role: Role = ""
    folders: tuple[str, ...] = ()

    def row(self, number: int) -> Widget:
        return Widget(name=self.name.replace("#", str(number), 1), role=self.role, folders=self.folders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """What is known of one type of node. `start` is the number of its first row; `custom`: versions differ in the order."""

    head: tuple[Widget, ...]
    rows: tuple[Widget, ...] = ()
    start: int = 1
    live: bool = False
    custom: bool = False

    def named(self, name: str) -> Widget | None:
        """The widget of this name, rows included."""
        for widget in self.head:
            if widget.name == name:
                return widget
        number = self.row_of(name)
        rows = (widget.row(number) for widget in self.rows) if number is not None else ()
        return next((row for row in rows if row.name == name), None)

    def row_of(self, name: str) -> int | None:
        """The number of the row that a widget of this name belongs to."""
        for widget in self.rows:
            before, _, after = widget.name.partition("#")
            number = name[len(before) : len(name) - len(after)]
            if name.startswith(before) and name.endswith(after) and number.isdecimal() and len(number) < 6:
                return int(number)
        return None

    def order(self, count: int) -> tuple[Widget, ...]:
        """The widgets of `count` saved values; fewer when the node is not known to have so many."""
        widgets = list(self.head[:count])
        if self.rows:
            for index in range(count - len(widgets)):
                number, place = divmod(index, len(self.rows))
                widgets.append(self.rows[place].row(self.start + number))
        return tuple(widgets)

    @property
    def models(self) -> tuple[Widget, ...]:
        return tuple(widget for widget in (*self.head, *self.rows) if widget.folders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a running ComfyUI says of its nodes. `loaders` holds every type it has, in the order of its widgets."""

    loaders: Mapping[str, Loader] = field(default_factory=dict)

    def knows(self, node_type: str) -> bool:
        return node_type in self.loaders


@cache
def known_folders() -> frozenset[str]:
    """Every folder that some loader of the table takes models from, and the old names of ComfyUI's."""
    lines = (*BUILTIN_LOADERS.values(), *CUSTOM_LOADERS.values())
    folders = {folder for line in lines for widget in parsed(line).models for folder in widget.folders}
    return frozenset({*folders, *CATEGORY_OF, "vae_approx", "annotators", "configs"})


def loader_of(node_type: str, live: Live | None = None) -> Loader | None:
    """What a running ComfyUI or the table knows of this type, None when neither does.

    The table wins where ComfyUI's lists do not tell a folder: a name of a preset, a directory, a taesd.
    """
    told = live.loaders.get(node_type) if live else None
    written = _written(node_type) if len(node_type) <= LONGEST else None
    if told is None or written is None:
        return told or written
    return _both(told, written)


def _both(told: Loader, written: Loader) -> Loader:
    """The order that the running ComfyUI tells, with the folders of the table where it is silent."""

    def chosen(widget: Widget) -> Widget:
        ours = written.named(widget.name)
        return ours if ours and (ours.role not in ("", "file") or not widget.folders) else widget

    return Loader(head=tuple(chosen(widget) for widget in told.head), rows=written.rows, start=written.start, live=True)


@lru_cache(maxsize=4096)
def _written(node_type: str) -> Loader | None:
    if node_type in BUILTIN_LOADERS:
        return parsed(BUILTIN_LOADERS[node_type])
    base = node_type if node_type in CUSTOM_LOADERS else _VARIANT.sub("", node_type)
    line = CUSTOM_LOADERS.get(base) or BUILTIN_LOADERS.get(base)
    return None if line is None else replace(parsed(line), custom=True)


def parsed(line: str) -> Loader:
    """The loader that one line of the table describes."""
    rows = _ROWS.search(line)
    repeated = _widgets(rows["rows"].split()) if rows else ()
    start = 0 if rows and "#0" in rows["rows"] else 1
    return Loader(head=_widgets(_ROWS.sub("", line).split()), rows=repeated, start=start)


def _widgets(words: Iterable[str]) -> tuple[Widget, ...]:
    return tuple(_widget(word.replace("#0", "#")) for word in words)


def _widget(word: str) -> Widget:
    name, is_model, folders = word.partition("=")
    if not is_model:
        return Widget(name=word.rstrip("!?^~"), role=_PLAIN.get(word[-1], ""))
    mark = _MARKS.get(folders[-1:], "file")
    return Widget(name=name, role=mark, folders=tuple(folders.rstrip("/.@").split("+")))
