"""The sample catalog holds together, and shows each way that real catalogs write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from model_manager.facts.identity import Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.sample.catalog import ENTRIES, recipes, records
from model_manager.sample.models import SampleFile

MB = 1024 * 1024


@pytest.fixture
def catalog() -> dict[str, Any]:
    files = [
        SampleFile(name=recipe.name, path=Path(recipe.name), size=recipe.bytes + 300, sha256="ab" * 32)
        for recipe in recipes()
    ]
    return records("http://127.0.0.1:9", files)


def test_every_reference_is_described(catalog: dict[str, Any]) -> None:
    models = {model["name"] for model in catalog["models"]}
    workflows = {workflow["name"]: workflow for workflow in catalog["workflows"]}
    assert set(workflows) == {"portrait", "upscale", "video-draft"}
    for workflow in workflows.values():
        assert {*workflow["models"], *workflow.get("optional", ())} <= models
    assert {need for model in catalog["models"] for need in model["dependencies"]} <= models
    (collection,) = catalog["collections"]
    assert collection["id"] == "starter"
    assert set(collection["workflows"]) < set(workflows)


def test_every_model_has_a_place_of_its_own_and_an_address(catalog: dict[str, Any]) -> None:
    places = [ShelfPath.parse(model["saveTo"], model["name"]) for model in catalog["models"]]
    assert len({place.slot for place in places}) == len(places)
    assert {place.folder for place in places} == {
        "checkpoints",
        "vae",
        "loras",
        "text_encoders",
        "diffusion_models",
        "upscale_models",
    }
    for model in catalog["models"]:
        assert model["downloadUrl"] == f"http://127.0.0.1:9/files/{model['name']}"


def test_places_are_written_in_all_three_bases() -> None:
    def base(save_to: str) -> str:
        return "comfyui" if save_to.startswith("models/") else "models" if "/" in save_to else "bare"

    assert {base(entry.save_to) for entry in ENTRIES} == {"comfyui", "models", "bare"}


def test_one_model_has_only_a_size_and_the_others_a_hash(catalog: dict[str, Any]) -> None:
    without = [model["name"] for model in catalog["models"] if Pin.parse(model["hash"]) is None]
    assert without == ["sample-2x-upscaler.safetensors"]
    assert all(isinstance(model["fileSize"], int) for model in catalog["models"])
    assert any(re.match("sha256:", model["hash"] or "") for model in catalog["models"])


def test_one_model_is_optional_and_one_is_there_only_for_another(catalog: dict[str, Any]) -> None:
    named = {name for flow in catalog["workflows"] for name in (*flow["models"], *flow.get("optional", ()))}
    needed = {need for model in catalog["models"] for need in model["dependencies"]}
    assert [name for flow in catalog["workflows"] for name in flow.get("optional", ())] == [
        "sample-film-look.safetensors"
    ]
    assert needed - named == {"sample-video-encoder.safetensors"}


def test_files_are_a_few_megabytes() -> None:
    assert all(2 * MB <= recipe.bytes <= 6 * MB for recipe in recipes())
    assert sum(recipe.bytes for recipe in recipes()) < 30 * MB
