"""The sample catalog: three workflows, one collection, seven small models, written in the ways that real catalogs write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from model_manager.sample.models import Recipe, SampleFile

MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A sample model. `hash` is how its SHA-256 is written, "" for not at all; `depends` names other models."""

    name: str
    save_to: str
    megabytes: int
    description: str
    hash: str = "{}"
    depends: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return Recipe(name=self.name, bytes=self.megabytes * MB)


PORTRAIT: Final = "sample-portrait.safetensors"
PORTRAIT_VAE: Final = "sample-portrait-vae.safetensors"
FILM_LOOK: Final = "sample-film-look.safetensors"
UPSCALER: Final = "sample-2x-upscaler.safetensors"
VIDEO: Final = "sample-video-draft.safetensors"
VIDEO_VAE: Final = "sample-video-vae.safetensors"
VIDEO_ENCODER: Final = "sample-video-encoder.safetensors"

ENTRIES: Final = (
    Entry(
        name=PORTRAIT,
        save_to=f"models/checkpoints/{PORTRAIT}",
        megabytes=6,
        description="Checkpoint with its SHA-256, placed from ComfyUI's directory.",
    ),
    Entry(
        name=PORTRAIT_VAE,
        save_to=f"vae/{PORTRAIT_VAE}",
        megabytes=3,
        description="VAE with a labelled SHA-256, placed from the models directory.",
        hash="sha256:{}",
    ),
    Entry(
        name=FILM_LOOK,
        save_to=f"models/loras/sample/{FILM_LOOK}",
        megabytes=2,
        description="Optional LoRA in a directory of its own: the gate never waits for it.",
    ),
    Entry(
        name=UPSCALER,
        save_to="upscale_models",
        megabytes=2,
        description="Upscaler of which only the size is known, placed by the folder's bare name.",
        hash="",
    ),
    Entry(
        name=VIDEO,
        save_to="diffusion_models",
        megabytes=6,
        description="Diffusion model that needs a text encoder.",
        depends=(VIDEO_ENCODER,),
    ),
    Entry(
        name=VIDEO_VAE,
        save_to=f"vae/{VIDEO_VAE}",
        megabytes=3,
        description="VAE with its SHA-256.",
    ),
    Entry(
        name=VIDEO_ENCODER,
        save_to=f"text_encoders/{VIDEO_ENCODER}",
        megabytes=4,
        description="Text encoder: no workflow names it, the diffusion model does.",
    ),
)

WORKFLOWS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "portrait",
        "name": "portrait",
        "description": "A checkpoint, its VAE and, if it is there, a LoRA.",
        "models": [PORTRAIT, PORTRAIT_VAE],
        "optional": [FILM_LOOK],
        "custom_nodes": [],
    },
    {
        "id": "upscale",
        "name": "upscale",
        "description": "One upscaler.",
        "models": [UPSCALER],
        "custom_nodes": [],
    },
    {
        "id": "video-draft",
        "name": "video-draft",
        "description": "A diffusion model with its encoder, and a VAE.",
        "models": [VIDEO, VIDEO_VAE],
        "custom_nodes": ["sample-video-nodes"],
    },
)

COLLECTIONS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "starter",
        "name": "starter",
        "description": "What a first run serves.",
        "workflows": ["portrait", "upscale"],
    },
)


def recipes() -> tuple[Recipe, ...]:
    """The files that the catalog speaks of."""
    return tuple(entry.recipe for entry in ENTRIES)


def records(origin_url: str, files: Iterable[SampleFile]) -> dict[str, Any]:
    """The whole catalog as plain JSON, its models at `origin_url`."""
    known = {file.name: file for file in files}
    return {
        "models": [_model(entry, origin_url, known[entry.name]) for entry in ENTRIES],
        "workflows": list(WORKFLOWS),
        "collections": list(COLLECTIONS),
    }


def _model(entry: Entry, origin_url: str, file: SampleFile) -> dict[str, Any]:
    return {
        "id": entry.name.removesuffix(".safetensors"),
        "name": entry.name,
        "downloadUrl": f"{origin_url}/files/{entry.name}",
        "saveTo": entry.save_to,
        "fileSize": file.size,
        "hash": entry.hash.format(file.sha256) or None,
        "isAuthReq": False,
        "authEnvVar": None,
        "description": entry.description,
        "dependencies": list(entry.depends),
    }
