"""What the tests of settings share: every name that others set, and two values that fit it."""

from __future__ import annotations

import pytest

from model_manager.errors import BadSettings
from model_manager.settings import load

CANARY = "hf_CANARYCANARY"
MINIMAL = {"MACHINE_ID": "m1"}

NAMES = {
    "redis_url": ("REDIS_URL", "HUB_REDIS_URL"),
    "redis_prefix": ("MODEL_MANAGER_REDIS_PREFIX",),
    "catalog_url": ("EMPROPS_API_BASE_URL", "EMPROPS_API_URL", "EMP_API_URL"),
    "catalog_key": ("EMPROPS_API_KEY",),
    "workflow_ids": ("WORKFLOW_IDS",),
    "collection_ids": ("COLLECTION_IDS", "COLLECTIONS"),
    "components": ("COMPONENTS",),
    "models": ("MACHINE_MODELS_NEEDED",),
    "migrate_to_workflows": ("MIGRATE_TO_WORKFLOWS",),
    "stall_minutes": ("MODEL_DOWNLOAD_TIMEOUT_MINUTES",),
    "concurrency": ("MODEL_DOWNLOAD_CONCURRENCY",),
    "retry_attempts": ("MODEL_DOWNLOAD_RETRY_ATTEMPTS",),
    "hf_token": ("HF_TOKEN",),
    "civitai_token": ("CIVITAI_TOKEN", "CIVITAI_API_KEY"),
    "machine_id": ("MACHINE_ID",),
    "workspace": ("WORKSPACE_PATH", "WORKSPACE_DIR"),
    "comfyui_models": ("COMFYUI_MODELS_PATH",),
    "comfyui_base": ("COMFYUI_BASE_PATH",),
    "model_path": ("MODEL_PATH",),
}


VALUES = {
    "redis_url": ("redis://:secret@h:6379/0", "redis://other:6379"),
    "catalog_url": ("https://api.example", "https://other.example"),
    "migrate_to_workflows": ("true", "false"),
    "stall_minutes": ("7", "8"),
    "concurrency": ("7", "8"),
    "retry_attempts": ("7", "8"),
    "machine_id": ("m7", "m8"),
    "workspace": ("/w", "/v"),
    "comfyui_models": ("/w", "/v"),
    "comfyui_base": ("/w", "/v"),
    "model_path": ("/w", "/v"),
}


def value_of(field: str) -> tuple[str, str]:
    return VALUES.get(field, ("one", "two"))


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(BadSettings) as failure:
        load(environ)
    return str(failure.value)
