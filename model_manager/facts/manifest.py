"""What an environment needs, as its manifest says it: models by hash, workflows by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.shelf import CATEGORY_OF

Tool = Literal["comfydock", "comfygit"]
"""Whose tables a manifest has: `[tool.comfydock]`, which we write, or those of comfygit, which are read."""

Importance = Literal["required", "optional"]

FOLDER_OF: Final[dict[str, str]] = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "clip": "text_encoders",
    "unet": "diffusion_models",
    "embedding": "embeddings",
    "upscale_model": "upscale_models",
    "style": "style_models",
    "style_model": "style_models",
    "hypernetwork": "hypernetworks",
}
"""ComfyDock's `type` → ComfyUI's folder; a type that is not here is itself the folder."""

TYPE_OF: Final[dict[str, str]] = {
    "checkpoints": "checkpoint",
    "loras": "lora",
    "text_encoders": "clip",
    "diffusion_models": "unet",
    "embeddings": "embedding",
    "upscale_models": "upscale_model",
    "style_models": "style",
    "hypernetworks": "hypernetwork",
}
"""The way back, as the view `models` of the index has it."""

QUICK: Final[dict[Tool, str]] = {"comfydock": "blake3_sample_v1", "comfygit": "xxh3_128_sample_v1"}
"""Of what formula the 16 digits are by which a manifest names its models."""


SHORTEST: Final = 6
"""Letters of a key that may stand for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestModel:
    """One model. `key` is its name in the manifest; `name` its path below `folder`. `sha256` and `blake3` are over the whole file,
    '' when they are not known; `quick` is (formula, hex) of a hash over samples, a hint. `size` in bytes."""

    key: str
    folder: str
    name: str
    importance: Importance = "required"
    size: int | None = None
    sha256: str = ""
    blake3: str = ""
    quick: tuple[tuple[str, str], ...] = ()
    sources: tuple[Address, ...] = ()

    @property
    def pin(self) -> Pin | None:
        """The promise that a download is held to."""
        if self.sha256:
            return Pin(algorithms=("sha256",), hex=self.sha256)
        return Pin(algorithms=("blake3",), hex=self.blake3) if self.blake3 else None

    @property
    def category(self) -> str:
        return CATEGORY_OF.get(self.folder, self.folder)

    @property
    def label(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A model that a workflow names and of which no hash is known yet."""

    folder: str
    name: str
    sources: tuple[Address, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One workflow of an environment. `file` is relative to the manifest; `models` are keys of models, `nodes` packages of
    custom nodes."""

    name: str
    file: str
    models: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole manifest. `oddities` are entries that were left out, and why."""

    tool: Tool = "comfydock"
    models: tuple[ManifestModel, ...] = ()
    workflows: tuple[Tracked, ...] = ()
    oddities: tuple[str, ...] = ()

    def model(self, key: str) -> ManifestModel | None:
        """By its key, or by how the key, or a full hash, begins: six letters or more, and one model only."""
        if exact := next((model for model in self.models if model.key == key), None):
            return exact
        begin = key.lower()
        found = [each for each in self.models if any(word.lower().startswith(begin) for word in _words(each))]
        return found[0] if len(begin) >= SHORTEST and len(found) == 1 else None

    def same(self, model: ManifestModel) -> ManifestModel | None:
        """The entry of the same bytes, whatever its key."""
        for each in self.models:
            if (
                each.key == model.key
                or (model.sha256 and each.sha256 == model.sha256)
                or (model.blake3 and each.blake3 == model.blake3)
            ):
                return each
        return None

    def workflow(self, name: str) -> Tracked | None:
        return next((workflow for workflow in self.workflows if workflow.name == name), None)

    def needed(self, workflow: Tracked) -> tuple[ManifestModel, ...]:
        """The models of a workflow, as far as the manifest has them."""
        return tuple(found for key in workflow.models if (found := self.model(key)))

    def used_by(self, model: ManifestModel) -> tuple[str, ...]:
        """The workflows that need a model."""
        return tuple(workflow.name for workflow in self.workflows if model in self.needed(workflow))


def _words(model: ManifestModel) -> tuple[str, ...]:
    return tuple(word for word in (model.key, model.sha256, model.blake3) if word)
