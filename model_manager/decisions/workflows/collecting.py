"""Which references to models does one node hold?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from model_manager.decisions.workflows.downloading_nodes import fetched
from model_manager.decisions.workflows.recognising import (
    Finding,
    Hint,
    by_loader,
    by_looks,
    by_name,
    has_ending,
    looks_like_model,
    selected,
)
from model_manager.decisions.workflows.tagging import Tag, tags
from model_manager.decisions.workflows.tracing import is_encoder
from model_manager.errors import printable
from model_manager.facts.graph import Budget, Node, Value
from model_manager.facts.input_names import folder_of
from model_manager.facts.loaders import Loader, Widget
from model_manager.facts.loaders_custom import DISPLAYS
from model_manager.facts.workflow import Oddity, Reference, Spot

DEEPEST: Final = 24
"""Lists and dicts within a value; rows of loaders need three."""

_COST: Final = 10
"""Values that a reference counts for: it is that much larger."""

_VALUE_KEYS: Final = frozenset(
    {"content", "lora", "name", "value", "file", "model", "lora_name", "ckpt_name", "__value__"}
)
"""Keys under which a widget that is a dict keeps what it would hold if it were a text."""

_ON: Final = ("on", "enabled", "active")
_OFF: Final = (False, "Off", "off", "disable", "disabled", "False", "false", "No")
_OUTPUTS: Final = ("filename_prefix", "output_path", "output_name", "save_name", "file_prefix", "output_filename")
"""Inputs that name what a node writes."""

_IGNORED: Final = "a '<lora:…>' tag in a prompt; ComfyUI's own text encoder ignores it"


@dataclass(frozen=True, slots=True)
class _Text:
    """A string somewhere in a value. `name` is the input with its keys, `widget` what the loader says of it."""

    text: str
    name: str
    spots: tuple[Spot, ...]
    widget: Widget | None
    why: str


class Collecting:
    """One node, read once. `hint` says what its output is used for; `deaf`: nobody loads what its texts name by tags."""

    def __init__(
        self, node: Node, loader: Loader | None, hint: Hint | None, budget: Budget, deaf: bool = False
    ) -> None:
        self._node = node
        self._deaf = deaf
        self._loader = loader
        self._hint = hint
        self._budget = budget
        self._listed = by_name(node.listed)
        self._switches = {
            value.input: value.content for value in node.values if isinstance(value.content, (str, int, bool))
        }
        self._taes = node.type.startswith("VAELoader")
        self.oddities: list[Oddity] = []

    def references(self) -> list[Reference]:
        """All that this node refers to; what it lists and does not select comes last, inactive."""
        if self._node.type in DISPLAYS:
            return []
        texts = (text for value in self._node.values for text in self._texts(value))
        found = self._downloads() or [reference for text in texts for reference in self._of(text)]
        found = self._without_repetition(found)
        return [*map(self._enriched, found), *self._unselected(found)]

    def _texts(self, value: Value) -> Iterator[_Text]:
        why = self._off(value.input)
        if value.fed_by is not None:
            why = f"node {':'.join(value.fed_by)} sends what is used in its place"
        widget = self._loader.named(value.input) if self._loader and value.input else None
        yield from self._walk(value.content, value.input or str(value.place), value.spots, widget, why)

    def _walk(
        self, content: Any, name: str, spots: tuple[Spot, ...], widget: Widget | None, why: str
    ) -> Iterator[_Text]:
        stack: list[tuple[Any, str, tuple[Spot, ...], Widget | None, str, int]] = [
            (content, name, spots, widget, why, 0)
        ]
        while stack and self._budget.spend():
            content, name, spots, widget, why, depth = stack.pop()
            if isinstance(content, str):
                if content and self._budget.spend(len(content) // 64):
                    yield _Text(content, name, spots, widget, why)
            elif isinstance(content, (dict, list)) and depth < DEEPEST:
                stack.extend(reversed([(*row, depth + 1) for row in _inside(content, name, spots, widget, why)]))

    def _off(self, name: str) -> str:
        """Why the row or the whole node does not count, as its own switches say."""
        if not self._loader:
            return ""
        row = self._loader.row_of(name)
        widgets = self._loader.head if row is None else (*self._loader.head, *(w.row(row) for w in self._loader.rows))
        return next((why for widget in widgets if (why := self._says_off(widget, row))), "")

    def _says_off(self, widget: Widget, row: int | None) -> str:
        """Why this one switch, count or choice leaves out the row, or all of the node when it is a switch of all."""
        held = self._held(widget.name) if widget.role in ("count", "switch", "choice") else None
        if widget.role == "switch" and held in _OFF:
            return f"{widget.name} is off"
        if self._loader is None or row is None or not isinstance(held, int) or isinstance(held, bool):
            return ""
        place = row - self._loader.start
        if widget.role == "count" and place >= held:
            return f"only the first {held} rows count"
        return f"row {held} is the one that counts" if widget.role == "choice" and place + 1 != held else ""

    def _held(self, name: str) -> Any:
        return self._switches.get(name)

    def _of(self, text: _Text) -> Iterator[Reference]:
        """The references of one string: the model that it is, or those that its tags name."""
        if text.widget and text.widget.role == "unread" and self._names_models():
            return
        if finding := self._finding(text):
            if self._budget.spend(_COST):
                yield self._reference(text, finding)
            return
        if text.widget and text.widget.role == "fetched" and text.text.strip().casefold() not in ("", "none"):
            self._odd(
                f"it chooses or fetches the files of '{text.text.strip()[:80]}' by itself; the workflow does not name them"
            )
        for tag in tags(text.text):
            if not self._budget.spend(_COST):
                return
            yield self._tagged(text, tag)

    def _finding(self, text: _Text) -> Finding | None:
        if any(text.name.startswith(output) for output in _OUTPUTS) and not (text.widget and text.widget.folders):
            return None
        widget = self._meant(text)
        if widget and widget.folders:
            live = self._loader is not None and self._loader.live
            return by_loader(text.text, widget, self._node.type, live, self._taes)
        return by_looks(text.text, _last(text.name), self._node.type, self._hint, self._listed)

    def _names_models(self) -> bool:
        """Whether the node has a value where its loader takes models, so that its texts only repeat them."""
        widgets = [self._loader.named(value.input) for value in self._node.values] if self._loader else []
        return any(widget is not None and widget.folders for widget in widgets)

    def _meant(self, text: _Text) -> Widget | None:
        """The widget of a value: by its name, or because a loader whose models all lie in one folder holds a model there.

        Another version of a custom node has its widgets in another order, or by other names.
        """
        loader, widget = self._loader, text.widget
        if loader is None or not loader.models or (widget and (widget.folders or widget.role)):
            return widget
        nameless = text.name.isdecimal() or (loader.custom and (widget or not folder_of(text.name)))
        one = len({model.folders for model in loader.models}) == 1
        return loader.models[0] if nameless and one and has_ending(text.text.strip()) else widget

    def _reference(self, text: _Text, finding: Finding) -> Reference:
        why = self._node.why or text.why
        return Reference(
            node=self._node.path, node_type=self._node.type, input=text.name, text=text.text, names=finding.names,
            folders=finding.folders, kind=finding.kind, evidence=finding.evidence, confidence=finding.confidence,
            reason=_said(why or finding.reason), active=not why, spots=text.spots,
        )  # fmt: skip

    def _tagged(self, text: _Text, tag: Tag) -> Reference:
        name = tag.name.replace("\\", "/")
        core = is_encoder(self._node.type)
        if tag.sort == "embedding":
            finding = Finding(
                names=(name,), folders=("embeddings",), kind="file" if has_ending(name) else "stem", evidence="prompt",
                confidence="certain" if core else "likely", reason="ComfyUI's text encoders read 'embedding:' in a prompt",
            )  # fmt: skip
        else:
            ignored = core or self._deaf
            text = replace(text, why=text.why or _IGNORED) if ignored else text
            finding = Finding(
                names=(name,), folders=("loras",), kind="file" if has_ending(name) else "stem", evidence="prompt",
                confidence="guess" if ignored else "likely", reason="a '<lora:…>' tag in a prompt; some custom nodes load it",
            )  # fmt: skip
        spots = tuple(Spot(keys=spot.keys, span=tag.span) for spot in text.spots)
        return replace(self._reference(text, finding), text=tag.name, spots=spots)

    def _downloads(self) -> list[Reference]:
        texts = [value for value in self._node.values if isinstance(value.content, str) and value.fed_by is None]
        fetch = fetched(self._node, texts)
        if fetch is None:
            return []
        text = _Text(fetch.name, "", (), None, "")
        if fetch.value is not None:
            name = fetch.value.input or str(fetch.value.place)
            text = _Text(fetch.value.content, name, fetch.value.spots, None, "")
        finding = Finding(
            names=(fetch.name,), folders=(fetch.folder,) if fetch.folder else (), kind="file", evidence="download",
            confidence="certain" if fetch.sure else "likely", reason=f"{self._node.type} fetches it when it runs",
        )  # fmt: skip
        return [replace(self._reference(text, finding), url=fetch.url)]

    def _enriched(self, reference: Reference) -> Reference:
        """With address, hash and folder that the node lists for the file that it selects."""
        entry = selected(reference.names[0], self._listed)
        if entry is None:
            return reference
        folders = reference.folders
        if entry.folder and (not folders or reference.evidence in ("widget", "pattern") or entry.folder in folders):
            folders = (entry.folder, *(folder for folder in folders if folder != entry.folder))
        return replace(reference, folders=folders, url=reference.url or entry.url, pin=reference.pin or entry.pin)

    def _unselected(self, found: Sequence[Reference]) -> Iterator[Reference]:
        taken = {name.rpartition("/")[2] for reference in found for name in reference.names}
        for entry in self._node.listed:
            name = entry.name.replace("\\", "/")
            if name.rpartition("/")[2] not in taken and looks_like_model(name):
                yield Reference(
                    node=self._node.path, node_type=self._node.type, input="", text=entry.name, names=(name,),
                    folders=(entry.folder,) if entry.folder else (), kind="file", evidence="listed", confidence="likely",
                    reason=self._node.why or "the node lists it, and selects another", active=False, url=entry.url, pin=entry.pin,
                )  # fmt: skip

    def _without_repetition(self, found: list[Reference]) -> list[Reference]:
        """One reference for what a node holds twice under one input."""
        kept: dict[tuple[Any, ...], tuple[Reference, dict[Spot, None]]] = {}
        for reference in found:
            key = (reference.input, reference.text, reference.folders, reference.active)
            kept.setdefault(key, (reference, {}))[1].update(dict.fromkeys(reference.spots))
        return [
            reference if len(spots) == len(reference.spots) else replace(reference, spots=tuple(spots))
            for reference, spots in kept.values()
        ]

    def _odd(self, why: str) -> None:
        if not self._node.why:
            self.oddities.append(Oddity(why=printable(why), node=self._node.path, node_type=self._node.type))


def _said(reason: str) -> str:
    """A reason that names things from outside, on one line."""
    return reason if reason.isprintable() and len(reason) < 300 else printable(reason)


def _inside(
    content: dict[str, Any] | list[Any], name: str, spots: tuple[Spot, ...], widget: Widget | None, why: str
) -> list[tuple[Any, str, tuple[Spot, ...], Widget | None, str]]:
    if isinstance(content, list):
        return [
            (inner, name if widget else f"{name}.{place}", _deeper(spots, place), widget, why)
            for place, inner in enumerate(content)
        ]
    if any(content.get(key) is False for key in _ON):
        why = why or "the row is switched off"
    return [
        (inner, f"{name}.{key}", _deeper(spots, key), widget if key in _VALUE_KEYS else None, why)
        for key, inner in content.items()
    ]


def _deeper(spots: tuple[Spot, ...], key: str | int) -> tuple[Spot, ...]:
    return tuple(Spot(keys=(*spot.keys, key)) for spot in spots)


def _last(name: str) -> str:
    """The last part of a name with keys that is no number: what the value is called."""
    return next((part for part in reversed(name.split(".")) if part and not part.isdecimal()), "")
