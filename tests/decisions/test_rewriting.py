from __future__ import annotations

from dataclasses import replace

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.decisions.manifesting import read
from model_manager.decisions.rewriting import model_of, with_model, with_workflow, without_model
from model_manager.errors import BadManifest
from model_manager.facts.description import Address
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Digests
from model_manager.facts.known import Known
from model_manager.facts.manifest import ManifestModel, Tracked, Unresolved
from tests.decisions.test_manifesting import PLAN

MODEL = ManifestModel(
    key="00" * 8,
    folder="loras",
    name="style/x.safetensors",
    size=5,
    sha256="a" * 64,
    quick=(("blake3_sample_v1", "00" * 8),),
    sources=(Address(kind="huggingface", url="https://huggingface.co/a/b/resolve/main/x.safetensors"),),
)


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def test_what_is_written_is_read_back() -> None:
    (found,) = read(with_model("", MODEL, "m"), "m").models
    assert replace(found, sources=()) == replace(MODEL, sources=())
    assert [source.url for source in found.sources] == [source.url for source in MODEL.sources]


def test_comments_and_the_order_of_all_else_stay() -> None:
    text = with_model(PLAN, MODEL, "m")
    assert comments(text) == comments(PLAN)
    rest = [line for line in text.splitlines() if "0" * 16 not in line or "abc" in line or "def" in line]
    assert [line for line in rest if line.strip()] == [line for line in PLAN.splitlines() if line.strip()]


def test_an_entry_that_is_there_keeps_what_it_says_besides() -> None:
    text = '[tool.comfydock.models.required."0000000000000000"]\nfilename = "x.safetensors"  # mine\nnote = "dear"\n'
    changed = with_model(text, MODEL, "m")
    assert 'note = "dear"' in changed
    assert "# mine" in changed
    assert read(changed, "m").models[0].sha256 == "a" * 64


def test_writing_the_same_again_changes_nothing() -> None:
    once = with_model(PLAN, MODEL, "m")
    assert with_model(once, MODEL, "m") == once
    flow = Tracked(name="w", file="w.json", models=(MODEL.key,), unresolved=(Unresolved(folder="vae", name="q.pt"),))
    tracked = with_workflow(once, flow, "m")
    assert with_workflow(tracked, flow, "m") == tracked


def test_a_model_that_becomes_optional_moves() -> None:
    text = with_model(with_model("", MODEL, "m"), replace(MODEL, importance="optional"), "m")
    assert [model.importance for model in read(text, "m").models] == ["optional"]
    assert read(text, "m").oddities == ()


def test_a_model_goes_from_its_section_and_from_every_workflow() -> None:
    text = with_workflow(with_model(PLAN, MODEL, "m"), Tracked(name="w", file="w.json", models=(MODEL.key,)), "m")
    gone = read(without_model(text, MODEL.key, "m"), "m")
    assert gone.model(MODEL.key) is None
    assert [flow.models for flow in gone.workflows] == [("abc123de", "def456ab"), ()]
    assert comments(without_model(text, MODEL.key, "m")) == comments(PLAN)


def test_a_workflow_is_written_and_its_own_packages_of_python_stay() -> None:
    text = PLAN.replace("python = []", 'python = ["torch"]')
    flow = Tracked(name="my_workflow", file="new.json", models=("x",), nodes=("a", "b"))
    changed = with_workflow(text, flow, "m")
    assert read(changed, "m").workflow("my_workflow") == flow
    assert 'python = ["torch"]' in changed
    assert comments(changed) == comments(text)


def test_what_is_resolved_is_not_unresolved_any_more() -> None:
    flow = Tracked(name="w", file="w.json", unresolved=(Unresolved(folder="vae", name="q.pt"),))
    text = with_workflow("", flow, "m")
    assert read(text, "m").workflow("w") == flow
    assert "unresolved" not in with_workflow(text, replace(flow, unresolved=()), "m")


def test_a_table_of_another_kind_in_the_way_is_refused() -> None:
    with pytest.raises(BadManifest, match="no table"):
        with_model("[tool]\ncomfydock = 5\n", MODEL, "m")
    with pytest.raises(BadManifest, match="not TOML"):
        with_model("[tool", MODEL, "m")


def test_a_file_is_an_entry_once_it_is_read() -> None:
    file = Known(
        content_id=1, file="/m/loras/a.pt", root="/m", folder="loras", name="a.pt",
        fingerprint=Fingerprint(device=1, inode=1, size=9, mtime_ns=1), quick="0f" * 8,
    )  # fmt: skip
    assert model_of(file) is None
    entry = model_of(replace(file, digests=Digests(sha256="c" * 64)), name="b.pt")
    assert entry is not None
    assert (entry.key, entry.label, entry.size) == ("0f" * 8, "loras/b.pt", 9)
    plain = model_of(replace(file, digests=Digests(blake3="d" * 64), quick=""))
    assert plain is not None
    assert plain.key == "d" * 16


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(NAMES, NAMES, st.booleans())
def test_names_of_any_letters_are_written_and_read_back(name: str, key: str, optional: bool) -> None:
    model = replace(MODEL, key=key, importance="optional" if optional else "required", quick=())
    text = with_workflow(with_model(PLAN, model, "m"), Tracked(name=name, file="w.json", models=(key,)), "m")
    found = read(text, "m")
    assert tomlkit.parse(text)["project"] == {"name": "mine"}
    assert key in [each.key for each in found.models]
    assert name in [flow.name for flow in found.workflows]
