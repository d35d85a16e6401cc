"""The loaders that ComfyUI brings along, all of them; `facts/loaders.py` says how a line is read.

Source: ComfyUI nodes.py and comfy_extras (each input that takes its options from folder_paths.get_filename_list).
Configs (`config_name`) are shipped with ComfyUI and are no weights.
"""

from __future__ import annotations

from typing import Final

BUILTIN_LOADERS: Final[dict[str, str]] = {
    "AudioEncoderLoader": "audio_encoder_name=audio_encoders",
    "CheckpointLoader": "config_name ckpt_name=checkpoints",
    "CheckpointLoaderSimple": "ckpt_name=checkpoints",
    "CLIPLoader": "clip_name=text_encoders type device",
    "CLIPVisionLoader": "clip_name=clip_vision",
    "ConditioningLoader": "conditioning_name=embeddings",
    "ControlNetLoader": "control_net_name=controlnet",
    "CreateHookLora": "lora_name=loras strength_model strength_clip",
    "CreateHookLoraModelOnly": "lora_name=loras strength_model",
    "CreateHookModelAsLora": "ckpt_name=checkpoints strength_model strength_clip",
    "CreateHookModelAsLoraModelOnly": "ckpt_name=checkpoints strength_model",
    "DiffControlNetLoader": "control_net_name=controlnet",
    "DiffusersLoader": "model_path=diffusers/",
    "DualCLIPLoader": "clip_name1=text_encoders clip_name2=text_encoders type device",
    "FrameInterpolationModelLoader": "model_name=frame_interpolation",
    "GLIGENLoader": "gligen_name=gligen",
    "HypernetworkLoader": "hypernetwork_name=hypernetworks strength",
    "ImageOnlyCheckpointLoader": "ckpt_name=checkpoints",
    "LatentUpscaleModelLoader": "model_name=latent_upscale_models",
    "LoadBackgroundRemovalModel": "bg_removal_name=background_removal",
    "LoadDA3Model": "model_name=geometry_estimation weight_dtype",
    "LoadLoraModel": "[loras.#0.lora_name=loras loras.#0.strength]",
    "LoadLoraTextEncoder": "[loras.#0.lora_name=loras loras.#0.strength]",
    "LoadMediaPipeFaceLandmarker": "model_name=detection",
    "LoadMoGeModel": "model_name=geometry_estimation",
    "LoraLoader": "lora_name=loras strength_model strength_clip",
    "LoraLoaderBypass": "lora_name=loras strength_model strength_clip",
    "LoraLoaderBypassModelOnly": "lora_name=loras strength_model",
    "LoraLoaderModelOnly": "lora_name=loras strength_model",
    "LTXAVTextEncoderLoader": "text_encoder=text_encoders ckpt_name=checkpoints device",
    "LTXVAudioVAELoader": "ckpt_name=checkpoints+vae",
    "ModelPatchLoader": "name=model_patches",
    "OpticalFlowLoader": "model_name=optical_flow",
    "PhotoMakerLoader": "photomaker_model_name=photomaker",
    "QuadrupleCLIPLoader": "clip_name1=text_encoders clip_name2=text_encoders clip_name3=text_encoders clip_name4=text_encoders",
    "SAM3DBody_Loader": "model_file=detection",
    "StyleModelLoader": "style_model_name=style_models",
    "TripleCLIPLoader": "clip_name1=text_encoders clip_name2=text_encoders clip_name3=text_encoders",
    "unCLIPCheckpointLoader": "ckpt_name=checkpoints",
    "UNETLoader": "unet_name=diffusion_models weight_dtype",
    "UpscaleModelLoader": "model_name=upscale_models",
    "VAELoader": "vae_name=vae",
}

IMAGE_TAES: Final = ("taesd", "taesdxl", "taesd3", "taef1", "taef2", "taeqi2_1")
"""What a VAELoader takes instead of a file: the pair `<name>_encoder.*` and `<name>_decoder.*` in vae_approx."""

VIDEO_TAES: Final = ("taehv", "lighttae", "taeltx_2", "taeh3")
"""How the names of files begin that a VAELoader takes from vae_approx."""

NO_VAE: Final = "pixel_space"
"""What a VAELoader takes that needs no file at all."""
