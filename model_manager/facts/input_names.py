"""What the name of an input, or of a type of node, says of the folder of its models.

Authors of custom nodes keep to the names of ComfyUI's own loaders; these rules are what they have in common.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_RULES: Final = (
    (r"clip_?vision", "clip_vision"),
    (r"motion_?lora", "animatediff_motion_lora"),
    (r"motion_?(model|module)|animatediff|animate_?diff", "animatediff_models"),
    (r"control_?net|(^|_)cnet|t2i_?adapter", "controlnet"),
    (r"ip_?adapter", "ipadapter"),
    (r"lora|lycoris|locon", "loras"),
    (r"ckpt|checkpoint", "checkpoints"),
    (r"instant_?id", "instantid"),
    (r"pulid", "pulid"),
    (r"photo_?maker", "photomaker"),
    (r"face_?restor|gfpgan|codeformer", "facerestore_models"),
    (r"insight_?face|inswapper|swap_model", "insightface"),
    (r"audio_?encoder", "audio_encoders"),
    (r"latent_?upscale", "latent_upscale_models"),
    (r"upscale|esrgan", "upscale_models"),
    (r"style_?model", "style_models"),
    (r"gligen", "gligen"),
    (r"hyper_?network", "hypernetworks"),
    (r"embedding|textual_?inversion", "embeddings"),
    (r"model_?patch", "model_patches"),
    (r"ultralytics|bbox_?(model|detector)|segm_?(model|detector)", "ultralytics"),
    (r"(^|_)sam\d?(_|$)|sam_?model|sam_?loader", "sams"),
    (r"taesd|vae_?approx|tiny_?vae", "vae_approx"),
    (r"(^|_)vae|vae_?(name|model|file|loader)", "vae"),
    (r"unet|diffusion_?model|(^|_)dit(_|$)|transformer|gguf", "diffusion_models"),
    (r"text_?encoder|(^|_)clip|clip_?(name|model|file|loader)|(^|_)t5|umt5|llm", "text_encoders"),
    (r"diffusers", "diffusers"),
)
_COMPILED: Final = tuple((re.compile(rule), folder) for rule, folder in _RULES)
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s.\-|/()]+")


def folder_of(name: str) -> str:
    """The folder that a name such as `lora_name_2` or `MyCheckpointLoader` means, '' when it means none."""
    return _folder_of(name[:120])


@lru_cache(maxsize=4096)
def _folder_of(name: str) -> str:
    words = _WORDS.sub("_", name).lower()
    return next((folder for rule, folder in _COMPILED if rule.search(words)), "")
