"""Whether a value is a model, and which."""

from __future__ import annotations

import pytest

from model_manager.decisions.workflows.recognising import (
    Finding,
    Hint,
    by_loader,
    by_looks,
    by_name,
    looks_like_model,
    placed,
    selected,
)
from model_manager.facts.graph import Listed
from model_manager.facts.loaders import Widget

VAE = Widget(name="vae_name", role="file", folders=("vae",))


def loaded(text: str, widget: Widget = VAE, node_type: str = "VAELoader") -> Finding | None:
    return by_loader(text, widget, node_type, live=False, taes=node_type == "VAELoader")


def test_a_known_input_is_certain() -> None:
    found = loaded("sub\\v.safetensors")
    assert found is not None
    assert (found.names, found.folders, found.evidence, found.confidence) == (
        ("sub/v.safetensors",),
        ("vae",),
        "loader",
        "certain",
    )


@pytest.mark.parametrize("text", ["", " ", "None", "none", "Baked VAE", "pixel_space", "a\nb", "x" * 400])
def test_what_stands_for_no_file_is_none(text: str) -> None:
    assert loaded(text) is None


def test_a_tiny_vae_is_two_files() -> None:
    found = loaded("taef1")
    assert found is not None
    assert (found.names, found.folders, found.kind) == (("taef1_encoder", "taef1_decoder"), ("vae_approx",), "stem")


def test_directories_stems_and_what_a_node_fetches_have_their_own_kinds() -> None:
    directory = Widget(name="model_path", role="directory", folders=("diffusion_models",))
    stem, fetched = (
        Widget(name="lora", role="stem", folders=("loras",)),
        Widget(name="m", role="fetched", folders=("LLM",)),
    )
    kinds = [found and found.kind for found in (
        loaded("svdq-int4", directory, "X"), loaded("svdq.safetensors", directory, "X"), loaded("style", stem, "X"),
        loaded("microsoft/Florence-2", fetched, "X"), loaded("seedvr2.safetensors", fetched, "X"),
    )]  # fmt: skip
    assert kinds == ["directory", "file", "stem", None, "file"]


def test_another_version_of_a_custom_node_does_not_make_a_model_of_its_choices() -> None:
    widget = Widget(name="model", role="file", folders=("diffusion_models",))
    assert loaded("bf16", widget, "WanVideoModelLoader") is None
    builtin = loaded(
        "no-ending", Widget(name="ckpt_name", role="file", folders=("checkpoints",)), "CheckpointLoaderSimple"
    )
    assert builtin is not None
    assert builtin.confidence == "likely"


def test_looks_need_an_ending_on_one_line_and_no_address() -> None:
    yes = ["x.safetensors", "X.GGUF", "a b/c.ckpt", "m-00001-of-00002", "m-00002-of-00010.bin"]
    no = ["", ".safetensors", "x.png", "https://h.test/x.pt", "a\nx.pt", "x.safetensors is good", "a" * 300 + ".pt"]
    assert [text for text in yes + no if looks_like_model(text)] == yes


def test_layers_go_from_what_is_listed_to_what_it_looks_like() -> None:
    hint = Hint(folders=("vae",), use="it feeds vae_name", sure=False)
    entries = by_name([Listed(name="x.pt", folder="loras")])
    found = [
        by_looks("x.pt", "ckpt_name", "X", hint, entries), by_looks("x.pt", "what", "X", hint, {}),
        by_looks("x.pt", "ckpt_name", "X", hint, {}), by_looks("x.pt", "", "MyLoraThing", None, {}), by_looks("x.pt", "", "X", None, {}),
        by_looks("plain", "ckpt_name", "X", None, {}),
    ]  # fmt: skip
    assert [each and (each.evidence, each.folders) for each in found] == [
        ("listed", ("loras",)), ("widget", ("vae",)), ("widget", ("checkpoints",)), ("pattern", ("loras",)), ("pattern", ()), None,
    ]  # fmt: skip


def test_a_sure_use_needs_no_ending() -> None:
    found = by_looks("plain", "value", "PrimitiveString", Hint(folders=("loras",), use="it feeds", sure=True), {})
    assert found is not None
    assert (found.names, found.folders, found.confidence) == (("plain",), ("loras",), "likely")


def test_one_shard_stands_for_all() -> None:
    found = by_looks("d/m-00002-of-00003.safetensors", "model", "X", None, {})
    assert found is not None
    assert found.names == tuple(f"d/m-0000{n}-of-00003.safetensors" for n in (1, 2, 3))


def test_listed_files_are_found_by_name_and_by_last_part() -> None:
    entries = by_name([Listed(name="a/x.pt", url="1"), Listed(name="x.pt", url="2"), Listed(name="b/y.pt", url="3")])
    assert [
        entry and entry.url for entry in (selected(name, entries) for name in ("a/x.pt", "c/x.pt", "y.pt", "z.pt"))
    ] == ["1", "2", "3", None]


def test_absolute_paths_tell_their_folder() -> None:
    assert placed("/workspace/ComfyUI/models/unet/flux/x.gguf") == ("diffusion_models", "flux/x.gguf")
    assert placed("checkpoints/x.pt") == ("checkpoints", "x.pt")
    assert placed("C:/stuff/x.pt") == ("", "x.pt")
    found = loaded("D:\\ComfyUI\\models\\loras\\x.pt")
    assert found is not None
    assert (found.folders, found.names) == (("loras",), ("x.pt",))
