from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.decisions.manifesting import MAX_BYTES, read
from model_manager.errors import BadManifest
from model_manager.facts.manifest import Manifest

PLAN = """
[project]
name = "mine"

[tool.comfydock.models.required]
# Models required for workflows to function
"abc123de00000000" = {  # short hash as key
    filename = "sd_xl_base_1.0.safetensors",
    type = "checkpoint",
    size = 6946838366,
    blake3 = "%s",  # Full BLAKE3
    sources = [
        { type = "civitai", url = "https://civitai.com/api/download/models/101055" },
        { type = "huggingface", repo = "stabilityai/stable-diffusion-xl-base-1.0" }
    ]
}

[tool.comfydock.models.optional]
"def456ab00000000" = { filename = "pixel_art_xl.safetensors", type = "lora", relative_path = "loras/px/pixel_art_xl.safetensors" }

[tool.comfydock.workflows.tracked.my_workflow]
file = "workflows/my_workflow.json"
requires = { nodes = ["animatediff"], models = ["abc123de", "def456ab"], python = [], unresolved = [{ filename = "q.pt", type = "vae", sources = ["https://x.example/q"] }] }
""" % ("b" * 64)  # fmt: skip

THEIRS = """
[tool.comfygit.models]
"0123456789abcdef" = { filename = "a.safetensors", size = 5, relative_path = "checkpoints/a.safetensors", category = "checkpoints", sources = ["https://x.example/a"] }
"fedcba9876543210" = { filename = "b.safetensors", size = 6, relative_path = "loras/b.safetensors", category = "loras", sources = [] }

[tool.comfygit.workflows.flow]
path = "workflows/flow.json"
nodes = ["rgthree-comfy"]

[[tool.comfygit.workflows.flow.models]]
filename = "a.safetensors"
category = "checkpoints"
criticality = "flexible"
status = "resolved"
hash = "0123456789abcdef"

[[tool.comfygit.workflows.flow.models]]
filename = "b.safetensors"
category = "loras"
criticality = "optional"
status = "resolved"
hash = "fedcba9876543210"

[[tool.comfygit.workflows.flow.models]]
filename = "c.safetensors"
category = "vae"
criticality = "required"
status = "unresolved"
sources = ["https://x.example/c"]
"""


def test_the_plan_of_comfydock_is_read_with_its_comments_and_lines() -> None:
    manifest = read(PLAN, "pyproject.toml")
    base, pixels = manifest.models
    assert (base.folder, base.name, base.importance, base.size) == (
        "checkpoints", "sd_xl_base_1.0.safetensors", "required", 6946838366,
    )  # fmt: skip
    assert (base.blake3, base.quick) == ("b" * 64, (("blake3_sample_v1", "abc123de00000000"),))
    assert [source.url for source in base.sources] == [
        "https://civitai.com/api/download/models/101055",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
    ]
    assert (pixels.label, pixels.importance) == ("loras/px/pixel_art_xl.safetensors", "optional")
    (flow,) = manifest.workflows
    assert manifest.needed(flow) == (base, pixels)
    assert (flow.nodes, flow.unresolved[0].label) == (("animatediff",), "vae/q.pt")
    assert manifest.oddities == ()


def test_comfygits_manifest_is_read_with_its_own_hash_and_importance() -> None:
    manifest = read(THEIRS, "pyproject.toml")
    one, two = manifest.models
    assert manifest.tool == "comfygit"
    assert (one.label, one.importance, one.quick) == (
        "checkpoints/a.safetensors", "required", (("xxh3_128_sample_v1", "0123456789abcdef"),),
    )  # fmt: skip
    assert (two.importance, one.pin) == ("optional", None)
    (flow,) = manifest.workflows
    assert (flow.file, flow.models, flow.nodes) == ("workflows/flow.json", (one.key, two.key), ("rgthree-comfy",))
    assert [each.label for each in flow.unresolved] == ["vae/c.safetensors"]


def test_a_key_that_is_the_beginning_of_a_full_hash_is_no_quick_hash() -> None:
    text = (
        f'[tool.comfydock.models.required]\n{"a" * 16} = {{ filename = "x.pt", type = "vae", sha256 = "{"a" * 64}" }}'
    )
    assert read(text, "m").models[0].quick == ()


@pytest.mark.parametrize(
    "entry",
    [
        '{ filename = "../x.pt", type = "vae" }',
        '{ filename = "x.pt", type = "../../etc" }',
        '{ filename = "x.exe", type = "vae" }',
        '{ relative_path = "vae/../../x.pt" }',
        "{ type = 'vae' }",
    ],
)
def test_k1_an_entry_that_would_leave_the_shelves_is_left_out_and_said(entry: str) -> None:
    text = f'[tool.comfydock.models.required]\nbad = {entry}\ngood = {{ filename = "x.pt", type = "vae" }}'
    manifest = read(text, "m")
    assert [model.key for model in manifest.models] == ["good"]
    assert len(manifest.oddities) == 1
    assert "model bad" in manifest.oddities[0]


def test_a_hash_that_is_none_is_no_promise() -> None:
    text = '[tool.comfydock.models.required]\nk = { filename = "x.pt", type = "vae", sha256 = "123...", size = -5 }'
    model = read(text, "m").models[0]
    assert (model.sha256, model.size, model.pin) == ("", None, None)


def test_a_model_that_stands_in_both_sections_is_required() -> None:
    entry = 'k = { filename = "x.pt", type = "vae" }'
    manifest = read(f"[tool.comfydock.models.optional]\n{entry}\n[tool.comfydock.models.required]\n{entry}", "m")
    assert [model.importance for model in manifest.models] == ["required"]
    assert "twice" in manifest.oddities[0]


def test_k5_a_source_with_a_user_or_of_another_kind_is_left_out_and_a_token_in_it_goes() -> None:
    sources = (
        '["file:///etc/passwd", "https://u:p@x.example/a", "https://x.example/a?token=secret", {repo = "../x"}, 5]'
    )
    text = f'[tool.comfydock.models.required]\nk = {{ filename = "x.pt", type = "vae", sources = {sources} }}'
    assert [source.url for source in read(text, "m").models[0].sources] == ["https://x.example/a"]


def test_a_text_without_our_tables_is_an_empty_manifest() -> None:
    assert read("", "m") == read("[project]\nname = 'x'", "m") == Manifest()


@pytest.mark.parametrize("text", ["[tool", "a = ", "x" * (MAX_BYTES + 1), "a = " + "[" * 50_000])
def test_k7_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        read(text, "m")


ANY = st.recursive(
    st.none().map(lambda _: "0") | st.sampled_from(['"x"', "5", "true", "1.5", '"a/b.pt"', '"vae"', "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    | st.lists(st.tuples(st.sampled_from(["filename", "type", "sources", "requires", "models", "file", "url", "size"]), inner),
               max_size=3, unique_by=lambda pair: pair[0]).map(lambda pairs: "{" + ", ".join(f"{k} = {v}" for k, v in pairs) + "}"),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(ANY, ANY, st.sampled_from(["comfydock", "comfygit"]))
def test_k7_entries_of_any_shape_raise_nothing(one: str, two: str, tool: str) -> None:
    text = f"[tool.{tool}.models]\nrequired = {{ k = {one} }}\nq = {one}\n[tool.{tool}.workflows]\ntracked = {{ w = {two} }}\nv = {two}"
    assert isinstance(read(text, "m"), Manifest)


def test_a_table_in_braces_may_take_several_lines_and_hold_comments() -> None:
    text = '[tool.comfydock.models.required]\n"abc" = {  # a key\n    filename = "a.pt",\n    type = "vae"\n}\n'
    assert [model.label for model in read(text, "pyproject.toml").models] == ["vae/a.pt"]
