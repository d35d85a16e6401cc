from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.errors import BadPath
from model_manager.facts.shelf import PICKLES, WEIGHTS, ShelfPath, runs_code

NAME = "x.safetensors"


@pytest.mark.parametrize(
    ("save_to", "name", "path"),
    [
        (f"models/vae/{NAME}", "any.safetensors", f"vae/{NAME}"),
        (f"vae/{NAME}", NAME, f"vae/{NAME}"),
        ("vae", NAME, f"vae/{NAME}"),
        ("vae/", NAME, f"vae/{NAME}"),
        ("models/vae/", NAME, f"vae/{NAME}"),
        ("models/vae", f"SD15/{NAME}", f"vae/SD15/{NAME}"),
        ("vae/SD1.5", NAME, f"vae/SD1.5/{NAME}"),
        (None, f"vae/{NAME}", f"vae/{NAME}"),
        ("  ", f"vae/{NAME}", f"vae/{NAME}"),
        ("LLM/qwen", "config.json", "LLM/qwen/config.json"),
        ("vae", "x.SAFETENSORS", "vae/x.SAFETENSORS"),
        ("vae", "żółw 7 (fp8).gguf", "vae/żółw 7 (fp8).gguf"),
        ("models-evil", NAME, f"models-evil/{NAME}"),
    ],
)
def test_the_three_bases(save_to, name, path):
    found = ShelfPath.parse(save_to, name)
    assert str(found) == path
    assert ShelfPath.parse(str(found), found.name) == found


@pytest.mark.parametrize(
    "save_to",
    ["../x", "a/../../b", "/etc/cron.d/x", "models/../../x", "..", ".", "a/./b", "a//b", "vae/../x.safetensors", "..\\x", "a\\b",
     "%2e%2e/x", "vae/%2e%2e/x", "vae%2Fx", "C:\\x", "C:/x", "vae/x:ads", "vae\0", "vae\nx", "vae/\x1b[31m", "vae/\ud800", "vae/\u202eexe",
     "vae/" + "x" * 300 + ".safetensors", "a/" * 600 + NAME, "CON/x", "vae/con.safetensors", "vae/LPT1.gguf", "vae/x.", "vae /x", " vae/x",
     ".git", "vae/.hidden.safetensors", "vae/x.part", "vae/x.safetensors.part", "vae/u\u0308.safetensors", "models", "models/", "/"]
)  # fmt: skip
def test_k1_whatever_could_leave_the_shelves_or_is_no_portable_name_is_refused(save_to):
    with pytest.raises(BadPath):
        ShelfPath.parse(save_to, NAME)


@pytest.mark.parametrize("save_to", ["vae/x.py", "vae/x.so", "vae/authorized_keys", "vae", None])
def test_k1_only_files_that_models_consist_of_have_a_place(save_to):
    with pytest.raises(BadPath):
        ShelfPath.parse(save_to, "x.py")


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors",
        "/x.safetensors",
        "a/../../x.safetensors",
        "x",
        "x.py",
        "..",
        "",
        "x.safetensors/",
        "x\n.gguf",
    ],
)
def test_k1_the_name_is_held_to_the_same_rules(name):
    with pytest.raises(BadPath):
        ShelfPath.parse("vae", name)


@given(st.text(max_size=60), st.text(max_size=30))
def test_k1_what_is_accepted_stays_in_and_means_one_thing(save_to, name):
    try:
        path = ShelfPath.parse(save_to, name + ".safetensors")
    except BadPath:
        return
    parts = str(path).split("/")
    assert len(parts) >= 2
    assert all(part not in ("", ".", "..") and not part.startswith(".") for part in parts)
    assert not set(str(path)) & set("\\:\0\n")
    assert ShelfPath.parse(str(path), path.name.rpartition("/")[2]) == path


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("vae/a.gguf", "vae/A.gguf", True),
        ("unet/a.gguf", "diffusion_models/a.gguf", True),
        ("VAE/a.gguf", "vae/a.gguf", True),
        ("vae/ä.gguf", "vae/Ä.gguf", True),
        ("vae/a.gguf", "loras/a.gguf", False),
        ("vae/a.gguf", "vae/deep/a.gguf", False),
    ],
)
def test_f6_places_that_collide_somewhere_have_one_slot(one, other, same):
    first, second = (ShelfPath.parse(path, "x.gguf") for path in (one, other))
    assert (first.slot == second.slot) is same


@pytest.mark.parametrize(
    ("folder", "category"), [("unet", "diffusion_models"), ("clip", "text_encoders"), ("vae", "vae"), ("new", "new")]
)
def test_the_list_in_which_a_loader_finds_it(folder, category):
    assert ShelfPath(folder=folder, name="x.gguf").category == category


@pytest.mark.parametrize(
    ("name", "risky"),
    [("a.ckpt", True), ("sub/A.PT", True), ("x.bin", True), ("x.safetensors", False), ("x.gguf", False), ("x.ckpt.sft", False)],
)  # fmt: skip
def test_what_is_unpickled_can_run_code(name: str, risky: bool) -> None:
    assert runs_code(name) is risky


def test_every_kind_of_weights_is_told_apart() -> None:
    assert {".safetensors", ".sft", ".gguf", ".onnx"} == WEIGHTS - PICKLES
    assert ".patch" in PICKLES, "comfyui-inpaint-nodes loads it by torch.load"
