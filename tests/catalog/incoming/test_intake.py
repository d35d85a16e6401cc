"""Dirty records, as real catalogs have them: what is mended, what is kept, what is left out, and that all of it is told."""

from __future__ import annotations

from typing import Any

import pytest

from model_manager.catalog.incoming.intake import incoming
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, CustomNode, Need
from tests.catalog.conftest import ADDRESS, SHA256, model


def _model(**fields: Any) -> tuple[CatalogModel | None, list[str]]:
    """The record, and what was found."""
    came = incoming(
        "model", {key: value for key, value in model("a.safetensors", **fields).items() if value != "-"}, "x"
    )
    assert came.record is None or isinstance(came.record, CatalogModel)
    return came.record, [f"{each.done}: {each.what}" for each in came.findings]


def test_a_clean_record_has_nothing_to_tell() -> None:
    record, told = _model(fileSize=5, hash=SHA256, isAuthReq=False)
    assert told == []
    assert record
    assert (record.model_type, record.size, record.hash, record.id) == ("vae", 5, SHA256, "")


def test_the_page_of_a_file_becomes_the_file() -> None:
    blob = "https://huggingface.co/Comfy-Org/Wan/blob/main/split/a.safetensors?download=true"
    record, told = _model(downloadUrl=blob)
    assert record
    assert record.sources == ("https://huggingface.co/Comfy-Org/Wan/resolve/main/split/a.safetensors?download=true",)
    assert told[0].startswith("fixed: its address was the page")


def test_an_address_of_another_models_file_is_kept_and_told() -> None:
    record, told = _model(downloadUrl=ADDRESS.format("flux1-dev-kontext.safetensors"))
    assert record
    assert "flux1-dev-kontext.safetensors" in told[0]


def test_a_token_in_an_address_is_taken_out_and_not_told() -> None:
    record, told = _model(downloadUrl=f"{ADDRESS.format('a.safetensors')}?token=CANARY")
    assert record
    assert "CANARY" not in f"{record}{told}"
    assert told == ["fixed: a token stood in its address"]


@pytest.mark.parametrize("hash", ["zz", "a" * 31, "sha256:ab", 5, ["x"]])
def test_f8_what_is_no_hash_is_dropped_and_told(hash: object) -> None:
    record, told = _model(hash=hash)
    assert record
    assert record.hash is None
    assert told[0].startswith("dropped:")


@pytest.mark.parametrize("hash", ["", "null", "NULL", "none", None])
def test_f8_what_means_nothing_is_nothing(hash: object) -> None:
    record, told = _model(hash=hash)
    assert record
    assert (record.hash, told) == (None, [])


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN; rm", "PATH"])
def test_k5_the_name_of_another_variable_is_dropped(variable: str) -> None:
    record, told = _model(isAuthReq=True, authEnvVar=variable)
    assert record
    assert (record.auth_required, record.auth_env_var) == (True, None)
    assert told[0].endswith("is no token of ours")


def test_a_provider_is_a_token() -> None:
    record, told = _model(auth_required=True, auth_provider="huggingface")
    assert record
    assert (record.auth_required, record.auth_env_var, told) == (True, "HF_TOKEN", [])


@pytest.mark.parametrize(
    "save_to", ["../x", "/etc/cron.d/x", "a/../../b", "..\\x", "%2e%2e/x", "C:\\x", "vae/x\0.pt", "vae/CON.pt"]
)
def test_k1_a_path_off_the_shelves_leaves_the_record_out(save_to: str) -> None:
    record, told = _model(saveTo=save_to)
    assert record is None
    assert told[0].startswith("left out:")


def test_a_path_without_a_folder_takes_that_of_its_type() -> None:
    record, told = _model(saveTo="models/a.safetensors", modelType="loras")
    assert record
    assert record.save_to == "loras"
    assert told[0].startswith("fixed:")
    assert _model(saveTo="models/a.safetensors")[0] is None


@pytest.mark.parametrize("url", ["-", "", "ftp://h.example/a", "http://u:p@h.example/a", "not an address", 5])
def test_a_model_without_an_address_is_left_out(url: object) -> None:
    assert _model(downloadUrl=url)[0] is None


def test_one_bad_source_of_several_is_dropped() -> None:
    record, told = _model(sources=["file:///etc/passwd", {"url": ADDRESS.format("a.safetensors")}])
    assert record
    assert record.sources == (ADDRESS.format("a.safetensors"),)
    assert told[0].startswith("dropped: an address of it is dropped")


def test_fields_that_nobody_knows_are_told_and_not_kept() -> None:
    assert _model(is_admin=True, revision=9)[1] == ["dropped: unknown fields: is_admin, revision"]


@pytest.mark.parametrize(
    ("fields", "size"),
    [({"fileSize": "17.2GB"}, "17.2GB"), ({"file_size_gb": 23.8}, "23.8GB"), ({"size": 7}, 7), ({"size": -1}, None)],
)
def test_sizes_stay_what_they_are(fields: dict[str, Any], size: object) -> None:
    record, _ = _model(**fields)
    assert record
    assert record.size == size


def test_a_workflow_keeps_order_and_what_it_can_do_without() -> None:
    raw = {
        "name": "w", "models": ["b", {"model": {"name": "a"}, "is_required": False}, 7], "optional": ["b"], "min_vram": 12,
        "custom_nodes": [{"url": "git clone https://h.example/x/Pack.git", "install_order": 9}, "first", {}],
    }  # fmt: skip
    came = incoming("workflow", raw, "x")
    assert isinstance(came.record, CatalogWorkflow)
    assert came.record.needs == (Need(model="b", required=False), Need(model="a", required=False), Need(model="7"))
    nodes = (CustomNode(name="first", install_order=1),
             CustomNode(name="Pack", repository_url="https://h.example/x/Pack.git", install_order=9))  # fmt: skip
    assert came.record.custom_nodes == nodes
    assert came.record.min_vram_gb == 12
    assert [each.done for each in came.findings] == ["dropped"]


def test_a_collection_is_read_in_each_of_its_forms() -> None:
    forms = [
        {"workflows": ["a", "b"]},
        {"components": [{"name": "a"}, {"workflow": {"name": "b"}}]},
        {"collection_node": ["a", "b"]},
    ]
    for form in forms:
        came = incoming("collection", {"id": "c", **form}, "x")
        assert isinstance(came.record, CatalogCollection)
        assert came.record.workflows == ("a", "b")


@pytest.mark.parametrize("raw", [None, 5, "x", [], {}, {"name": 3}, {"name": "a\nb"}, {"name": "x" * 600}, {"name": "w", "models": 5},
                                 {"name": "w", "models": [None]}, {"name": "w", "models": ["a\x1b"]}])  # fmt: skip
def test_f3_k12_whatever_comes_is_left_out_and_never_a_fault(raw: object) -> None:
    for kind in ("model", "workflow", "collection"):
        came = incoming(kind, raw, "x")  # type: ignore[arg-type]
        if kind != "collection" or not isinstance(raw, dict) or "models" not in raw:
            assert came.record is None or (kind == "workflow" and raw == {"name": "w"})
            assert [each.done for each in came.findings] == ["left out"]
