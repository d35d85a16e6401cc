"""What becomes of a reference on this machine: which file a ComfyUI would load, and what would have to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from model_manager.facts.identity import Pin
from model_manager.facts.known import Known
from model_manager.facts.workflow import Kind, Reference

State = Literal["loads", "unproven", "other", "fixable", "ambiguous", "proposed", "missing"]
"""`loads`: this ComfyUI loads exactly this file. `unproven`: it loads the file of that name, and whether those are the
promised bytes is not known yet. `other`: it loads a file of that name with other bytes. `fixable`: it would not load, and one
change makes it. `ambiguous`: several files could be meant. `proposed`: a file of that name lies where the loader does not
look; somebody has to say that it is meant. `missing`: nothing here could be it."""

Strategy = Literal["digest", "hash", "quick hash", "path", "name", "elsewhere"]
"""By what a file was found, the surest first: a full digest; a short hash; a hash over samples or one that is only claimed; the exact path; its name
within the folder; its name in another folder."""

STRATEGIES: Final[tuple[Strategy, ...]] = ("digest", "hash", "quick hash", "path", "name", "elsewhere")

DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "diffusion_models": ("unet", "diffusion_models"),
    "text_encoders": ("text_encoders", "clip"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
"""Category → folders below a models directory in the order of search, where there are several (ComfyUI folder_paths.py)."""

LISTED: Final = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})
"""Endings that ComfyUI's own loaders list (folder_paths.supported_pt_extensions)."""

OUTPUTS: Final[Mapping[str, str]] = {
    "checkpoints": "checkpoints",
    "text_encoders": "clip",
    "vae": "vae",
    "diffusion_models": "diffusion_models",
    "loras": "loras",
}
"""Category → folder below ComfyUI's output directory that it searches last (ComfyUI main.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """One directory of an extra_model_paths.yaml. `first`: it was added with `is_default`."""

    category: str
    path: str
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where one ComfyUI looks. `trees` are its models directories: its own, and what shows itself inside it. `extras` stand in
    the order in which ComfyUI reads them. `outputs` is its output directory, '' when unknown. Paths are absolute.

    `assumed`: nobody named a ComfyUI, and every tracked directory counts as one that it searches.
    """

    trees: tuple[str, ...] = ()
    extras: tuple[Extra, ...] = ()
    outputs: str = ""
    assumed: bool = False

    def directories(self, category: str) -> tuple[str, ...]:
        """Those of a category, in ComfyUI's order of search (folder_paths.add_model_folder_path)."""
        found = [f"{tree}/{folder}" for folder in DEFAULTS.get(category, (category,)) for tree in self.trees]
        for extra in self.extras:
            if extra.category == category:
                if extra.first and extra.path in found:
                    found.remove(extra.path)
                if extra.path not in found:
                    found.insert(0 if extra.first else len(found), extra.path)
        if self.outputs and category in OUTPUTS:
            found.append(f"{self.outputs}/{OUTPUTS[category]}")
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One file that is needed. `text` is what the loader is given, exactly; `name` the path below its folder with `/`;
    `folders` are categories in the order in which the loader looks, none when nobody says.

    `pin` and `quick` (formula, hex) are promises about its bytes, `size` in bytes. `builtin`: ComfyUI's own loader asks.
    """

    name: str
    text: str = ""
    folders: tuple[str, ...] = ()
    kind: Kind = "file"
    pin: Pin | None = None
    quick: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    builtin: bool = False

    @property
    def folder(self) -> str:
        return self.folders[0] if self.folders else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that may be meant, by which strategy, and why. `value` is what the loader must be given so that this ComfyUI loads
    exactly this file; None when no value does: it must be linked to where the loader looks. `label` is where it lies."""

    known: Known
    by: Strategy
    value: str | None
    why: str

    @property
    def label(self) -> str:
        return f"{self.known.folder}/{self.known.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What was found for a wish. `loaded` is what ComfyUI loads as things are, None when it refuses the value. `candidates`
    are what it could be instead, the surest first."""

    wish: Wish
    state: State
    why: str
    loaded: Known | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing has to be done."""
        return self.state == "loads"

    @property
    def choice(self) -> Candidate | None:
        """The one change that makes it load, when it is beyond doubt."""
        return self.candidates[0] if self.state == "fixable" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A reference of a workflow and the ruling on each file that it needs."""

    reference: Reference
    rulings: tuple[Ruling, ...] = field(default=())

    @property
    def state(self) -> State:
        """Of several files the worst."""
        return max((ruling.state for ruling in self.rulings), key=_BAD.__getitem__, default="loads")


_BAD: Final[Mapping[State, int]] = {
    "loads": 0, "unproven": 1, "fixable": 2, "other": 3, "ambiguous": 4, "proposed": 5, "missing": 6,
}  # fmt: skip
