"""The table of ComfyUI's own loaders."""

from __future__ import annotations

import re

from model_manager.facts.builtin_nodes import BUILTIN
from model_manager.facts.loaders import parsed
from model_manager.facts.loaders_builtin import BUILTIN_LOADERS

NAMES = """checkpoints loras vae vae_approx text_encoders diffusion_models clip_vision style_models embeddings diffusers
    controlnet gligen upscale_models latent_upscale_models hypernetworks photomaker model_patches audio_encoders
    background_removal frame_interpolation geometry_estimation optical_flow detection"""
CATEGORIES = frozenset(NAMES.split())
"""Those of ComfyUI's folder_paths.py that hold weights."""


def test_every_loader_is_a_node_of_comfyui_and_names_its_folders() -> None:
    assert BUILTIN_LOADERS.keys() <= BUILTIN
    folders = {
        folder for line in BUILTIN_LOADERS.values() for widget in parsed(line).models for folder in widget.folders
    }
    assert folders <= CATEGORIES
    assert not folders & {"unet", "clip"}, "canonical names only"


def test_no_node_of_comfyui_that_is_called_a_loader_is_forgotten() -> None:
    others = {"Load3D", "LoraModelLoader"}
    loaders = {name for name in BUILTIN if re.search(r"(Loader|_Loader)(Simple|ModelOnly|BypassModelOnly)?$", name)}
    assert loaders - others <= BUILTIN_LOADERS.keys()


def test_each_line_has_a_model() -> None:
    assert not [name for name, line in BUILTIN_LOADERS.items() if not parsed(line).models]
