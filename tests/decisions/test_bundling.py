from __future__ import annotations

import pytest

from model_manager.decisions.bundling import bundles
from model_manager.facts.bundle import Bundle
from model_manager.facts.shelf import ShelfPath


def found(*files: str, markers: tuple[str, ...] = ()) -> dict[str, Bundle]:
    """Files and markers as paths below /models."""
    places = [
        (f"/models/{file}", ShelfPath(folder=file.partition("/")[0], name=file.partition("/")[2])) for file in files
    ]
    return bundles(places, {f"/models/{marker}" for marker in markers})


def one(answer: dict[str, Bundle]) -> Bundle:
    (bundle,) = set(answer.values())
    return bundle


def test_a_file_is_a_model_by_itself():
    assert found("vae/a.safetensors", "vae/b.safetensors") == {}


def test_shards_are_one_model_and_the_missing_ones_are_named():
    files = ("text_encoders/t5/big-00001-of-00003.safetensors", "text_encoders/t5/big-00003-of-00003.safetensors")
    answer = found(*files, "text_encoders/t5/other.safetensors")
    bundle = one(answer)
    assert set(answer) == {f"/models/{file}" for file in files}
    assert (bundle.kind, bundle.folder, bundle.name) == ("shards", "text_encoders", "t5/big.safetensors")
    assert bundle.key == "/models/text_encoders/t5/big-of-00003.safetensors"
    assert bundle.missing == ("/models/text_encoders/t5/big-00002-of-00003.safetensors",)
    assert not bundle.complete


@pytest.mark.parametrize(
    ("one_file", "name"),
    [
        ("unet/flux-Q8_0-00001-of-00002.gguf", "flux-Q8_0.gguf"),
        ("unet/model-00001-of-00002.fp16.safetensors", "model.fp16.safetensors"),
        ("unet/model.fp16-00001-of-00002.safetensors", "model.fp16.safetensors"),
    ],
)
def test_every_way_of_numbering_is_known(one_file, name):
    bundle = one(found(one_file))
    assert (bundle.name, bundle.missing) == (name, (f"/models/{one_file.replace('00001-of', '00002-of')}",))


def test_shards_of_another_total_directory_or_ending_are_another_model():
    answer = found(
        "unet/m-00001-of-00002.safetensors",
        "unet/m-00001-of-00003.safetensors",
        "unet/m-00001-of-00002.gguf",
        "unet/sub/m-00001-of-00002.safetensors",
        "loras/m-00002-of-00002.safetensors",
    )
    assert len({bundle.key for bundle in answer.values()}) == 5


@pytest.mark.parametrize(
    "file",
    ["x-00004-of-00003.safetensors", "x-00000-of-00003.safetensors", "x-1-of-3.safetensors", "x-001-of-00003.gguf",
     "x-000001-of-999999.safetensors", "epoch-00001-of-.safetensors", "x-00001-of-00003"],
)  # fmt: skip
def test_k13_a_number_that_promises_nonsense_is_only_a_name(file):
    assert found(f"loras/{file}") == {}


def test_a_pipeline_is_one_model_named_as_comfyui_lists_it():
    files = (
        "diffusers/sdxl/unet/diffusion_pytorch_model.fp16.safetensors",
        "diffusers/sdxl/vae/diffusion_pytorch_model.safetensors",
        "diffusers/sdxl/text_encoder/model-00001-of-00002.safetensors",
        "diffusers/sdxl/odd-name.safetensors",
    )
    markers = ("diffusers/sdxl/model_index.json", "diffusers/sdxl/unet/config.json", "diffusers/sdxl/vae/config.json")
    answer = found(*files, "diffusers/alone.safetensors", markers=markers)
    bundle = one(answer)
    assert (bundle.kind, bundle.name, bundle.key) == ("diffusers", "sdxl", "/models/diffusers/sdxl")
    assert len(bundle.parts) == 4
    assert bundle.missing == ("/models/diffusers/sdxl/text_encoder/model-00002-of-00002.safetensors",)


def test_a_pipeline_inside_another_is_one_of_its_own():
    answer = found(
        "diffusers/outer/unet/a.safetensors",
        "diffusers/outer/refiner/unet/a.safetensors",
        markers=("diffusers/outer/model_index.json", "diffusers/outer/refiner/model_index.json"),
    )
    assert sorted(bundle.name for bundle in answer.values()) == ["outer", "outer/refiner"]


@pytest.mark.parametrize(
    "marker", ["loras/model_index.json", "loras/config.json", "loras/model.safetensors.index.json", "model_index.json"]
)
def test_a_marker_at_the_top_of_a_folder_binds_nothing(marker):
    assert found("loras/model.safetensors", "loras/sub/model.safetensors", markers=(marker,)) == {}


def test_a_configured_directory_is_one_model_and_strangers_in_it_are_not():
    answer = found(
        "llm/qwen/model-00001-of-00002.safetensors",
        "llm/qwen/model-00002-of-00002.safetensors",
        "llm/qwen/pytorch_model.bin",
        "llm/qwen/my-lora.safetensors",
        "llm/qwen/mine-00001-of-00002.safetensors",
        markers=("llm/qwen/config.json", "llm/qwen/model.safetensors.index.json"),
    )
    assert "/models/llm/qwen/my-lora.safetensors" not in answer
    assert answer["/models/llm/qwen/mine-00001-of-00002.safetensors"].kind == "shards"
    bundle = answer["/models/llm/qwen/pytorch_model.bin"]
    assert (bundle.kind, bundle.name, bundle.missing, len(bundle.parts)) == ("transformers", "qwen", (), 3)


def test_without_a_configuration_the_usual_names_bind_nothing():
    assert found("llm/qwen/model.safetensors", "llm/qwen/pytorch_model.bin") == {}


def test_a_directory_of_one_category_is_its_own_folder():
    """A directory of extra_model_paths.yaml is a folder as a whole: names are relative to it."""
    files = [("/nas/encoders/t5/model.safetensors", ShelfPath(folder="text_encoders", name="t5/model.safetensors"))]
    assert one(bundles(files, {"/nas/encoders/t5/config.json"})).name == "t5"
    assert (
        bundles(files, {"/nas/encoders/config.json", "/nas/encoders/model_index.json", "/nas/model_index.json"}) == {}
    )


def test_a_place_that_is_no_part_of_the_path_binds_nothing():
    files = [("/cache/blobs/abc", ShelfPath(folder="huggingface hub", name="x/y/model.safetensors"))]
    assert bundles(files, {"/cache/blobs/config.json", "/cache/model_index.json"}) == {}
