"""What names say of folders."""

from __future__ import annotations

import pytest

from model_manager.facts.input_names import folder_of


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("ckpt_name", "checkpoints"), ("base_ckpt_name", "checkpoints"), ("lora_name_3", "loras"), ("lora_01", "loras"),
        ("vae_name", "vae"), ("vae", "vae"), ("clip_name2", "text_encoders"), ("clip_vision", "clip_vision"),
        ("control_net_name", "controlnet"), ("unet_name", "diffusion_models"), ("upscale_model", "upscale_models"),
        ("style_model_name", "style_models"), ("text_encoder1", "text_encoders"), ("ipadapter_file", "ipadapter"),
        ("motion_lora", "animatediff_motion_lora"), ("latent_upscale_model", "latent_upscale_models"),
        ("MyLoraLoader", "loras"), ("SuperCheckpointLoaderV2", "checkpoints"), ("FancyVAELoader", "vae"),
        ("model_name", ""), ("seed", ""), ("text", ""), ("", ""), ("samples", ""), ("eval_mode", ""),
    ],
)  # fmt: skip
def test_a_name_means_a_folder_or_none(name: str, folder: str) -> None:
    assert folder_of(name) == folder
