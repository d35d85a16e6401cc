"""What a ComfyUI workflow says of models: which files its nodes name, where, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.facts.identity import Pin

Form = Literal["ui", "api"]
"""`ui`: what the editor saves (nodes, links, widgets). `api`: what ComfyUI executes (class types and inputs)."""

Wrapping = Literal["", "prompt", "history", "job", "app"]
"""What the workflow came in: nothing, `{"prompt": …}`, a `/history` answer, a job of a queue, an `.app.json`."""

Evidence = Literal["live", "loader", "download", "widget", "prompt", "listed", "pattern"]
"""By which layer a value was known to be a model; see docs/workflows.md. `live` is what a running ComfyUI said of the
input, `loader` the table of known nodes, `download` a node that fetches, `widget` the name of the input, `prompt` a tag in
text, `listed` the workflow's own list of models, `pattern` only the ending of the value."""

Confidence = Literal["certain", "likely", "guess"]
"""`certain`: the node loads it. `likely`: nothing else is probable. `guess`: it looks like a model; ask before acting."""

Kind = Literal["file", "stem", "directory"]
"""What each name is: a file; a file without its ending (`embedding:x`, `taesd_encoder`); a directory (diffusers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a value stands in the document, for who writes it back.

    `keys` lead from the top of the decoded JSON to a string. `span` is the part of that string, in characters, when the
    name is only a part of it (tags in prompts).
    """

    keys: tuple[str | int, ...]
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One value by which a node names a model.

    `node` is the path of ids from the outermost instance of a subgraph to the node itself; empty for what belongs to none.
    `input` is the widget or input (`lora_1.lora` for a row of a node that has rows), empty when nobody says its name.
    `text` is the value exactly as written; `names` are the paths below the folder that must exist, all of them, with `/`
    (for `taesd` two). `folders` are canonical categories in the order in which the node looks; empty when unknown.
    An inactive reference is on a muted or bypassed node, switched off, or replaced by a link: `reason` says which.
    `url` and `pin` are what the workflow itself says of the file. All `spots` hold the value and must be changed together;
    none means that it cannot be changed here.
    """

    node: tuple[str, ...]
    node_type: str
    input: str
    text: str
    names: tuple[str, ...]
    folders: tuple[str, ...]
    kind: Kind
    evidence: Evidence
    confidence: Confidence
    reason: str
    active: bool
    url: str = ""
    pin: Pin | None = None
    spots: tuple[Spot, ...] = ()

    @property
    def folder(self) -> str:
        """The category where the file belongs, '' when nobody says."""
        return self.folders[0] if self.folders else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """A type of node that the workflow uses. `package` is the registry id or repository that the workflow says it is from
    (`comfy-core` for built-in ones, '' when it does not say); `active` is False when every such node is muted or bypassed.
    """

    name: str
    package: str = ""
    version: str = ""
    count: int = 1
    active: bool = True
    builtin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that was left out, or that no file can settle, and why. `node` is empty when it concerns the whole; `unread`
    says that models may hide in it.
    """

    why: str
    node: tuple[str, ...] = ()
    node_type: str = ""
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What was read of one workflow. `nodes` counts those that were looked at, subgraphs unfolded once per instance.

    `complete` is False when a part could not be read, or was more than is read: an oddity says which. Then nobody may say
    that all models of it are known.
    """

    form: Form
    wrapping: Wrapping = ""
    references: tuple[Reference, ...] = ()
    node_types: tuple[NodeType, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    nodes: int = 0
    complete: bool = True

    @property
    def needed(self) -> tuple[Reference, ...]:
        """The references that take part when the workflow runs."""
        return tuple(reference for reference in self.references if reference.active)

    @property
    def custom_nodes(self) -> tuple[NodeType, ...]:
        """Types that ComfyUI does not bring along."""
        return tuple(node for node in self.node_types if not node.builtin)
