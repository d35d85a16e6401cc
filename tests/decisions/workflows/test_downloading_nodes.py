"""Nodes that fetch files."""

from __future__ import annotations

import pytest

from model_manager.decisions.workflows.downloading_nodes import fetched
from model_manager.facts.graph import Node, Value

URL = "https://huggingface.co/a/b/resolve/main/dir/f%20x.safetensors?download=true"


def of(kind: str, **inputs: str) -> tuple[str, str, bool] | None:
    values = tuple(Value(input=name.rstrip("_"), content=content) for name, content in inputs.items())
    fetch = fetched(Node(path=("1",), type=kind, values=values), values)
    return None if fetch is None else (fetch.folder, fetch.name, fetch.sure)


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("EmProps_Asset_Downloader", {"url": URL, "save_to": "unet", "filename": "x.gguf"}, ("diffusion_models", "x.gguf", True)),
        ("EmpropsModelDownloader", {"local_save_path": "checkpoints/sd/m.ckpt", "model_url": URL}, ("checkpoints", "sd/m.ckpt", True)),
        ("HFModelDownloader", {"model_url": URL, "model_category": "loras"}, ("loras", "f x.safetensors", False)),
        ("KikoModelDownloader", {"url": URL, "save_path": "models/loras/sdxl", "filename": "y.pt"}, ("loras", "sdxl/y.pt", True)),
        ("AnyNode", {"address": URL}, ("", "f x.safetensors", False)),
        ("AnyNode", {"u": "https://civitai.com/api/download/models/7", "n": "z.pt", "t": "vae"}, ("vae", "z.pt", True)),
        ("AnyNode", {"text": "https://h.test/page"}, None),
        ("SomeDownloader", {"url": "https://h.test/page"}, None),
        ("SomeDownloader", {"url": "https://[::1", "filename": "x.pt"}, ("", "x.pt", False)),
        ("SomeDownloader", {"repo": "owner/name"}, None),
    ],
)  # fmt: skip
def test_an_address_a_folder_and_a_name_are_known_by_their_meaning(
    kind: str, inputs: dict[str, str], expected: tuple[str, str, bool] | None
) -> None:
    assert of(kind, **inputs) == expected
