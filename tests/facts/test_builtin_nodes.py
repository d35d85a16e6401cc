"""The names of ComfyUI's own nodes."""

from __future__ import annotations

from model_manager.facts.builtin_nodes import BUILTIN


def test_nodes_of_all_kinds_are_among_them_and_custom_ones_are_not() -> None:
    assert {
        "KSampler",
        "CheckpointLoaderSimple",
        "LoadDA3Model",
        "Reroute",
        "MarkdownNote",
        "Epsilon Scaling",
    } <= BUILTIN
    assert not {"Power Lora Loader (rgthree)", "UnetLoaderGGUF", ""} & BUILTIN
    assert 900 < len(BUILTIN) < 2000
