from __future__ import annotations

import pytest

from model_manager.catalog.bodies import CollectionBody, ModelBody, WorkflowBody, read, schemas
from model_manager.catalog.records import CustomNode, Need
from model_manager.errors import BadRecord
from model_manager.serving.problems import Answer

from .conftest import ADDRESS, SHA256, model


def test_the_download_address_is_tried_before_the_other_sources() -> None:
    more = [ADDRESS.format("mirror.pt"), ADDRESS.format("a.pt")]
    record = read(ModelBody, model("a.pt", sources=more)).record("a", "7")
    assert record.sources == (ADDRESS.format("a.pt"), ADDRESS.format("mirror.pt"))
    assert (record.id, record.version, record.model_type) == ("a", "7", "vae")


def test_hashes_are_kept_by_algorithm_in_lower_case() -> None:
    record = read(ModelBody, model("a.pt", hashes={"sha256": SHA256.upper(), "md5": "0" * 32})).record("a", "1")
    assert record.hashes == (("md5", "0" * 32), ("sha256", SHA256))


def test_what_relations_say_of_a_model_counts_more_than_its_bare_name() -> None:
    content = {
        "name": "w", "models": ["a", {"model": "b", "is_required": False}, "c"],
        "workflow_model": [{"workflow_id": "w", "model_id": None, "model_name": "c", "is_required": False}],
    }  # fmt: skip
    needs = read(WorkflowBody, content).record("w").needs
    assert needs == (Need(model="c", required=False), Need(model="a"), Need(model="b", required=False))


def test_nodes_stand_in_the_order_of_their_installation() -> None:
    nodes = ["late", {"name": "early", "repositoryUrl": "https://h.example/early", "install_order": -1}]
    record = read(WorkflowBody, {"name": "w", "custom_nodes": nodes}).record("w")
    early = CustomNode(name="early", repository_url="https://h.example/early", install_order=-1)
    assert record.custom_nodes == (early, CustomNode(name="late", install_order=0))


def test_a_collection_takes_members_as_they_are_answered() -> None:
    content = {"workflows": ["a"], "components": [{"id": "1", "name": "b"}, "a"], "collection_node": ["c"]}
    assert read(CollectionBody, content).record("x").workflows == ("a", "b", "c")


def test_a_refusal_names_the_field_and_never_shows_its_value() -> None:
    with pytest.raises(Answer) as refused:
        read(ModelBody, model("a.pt", vramGb="hf_CANARY"))
    assert "vramGb" in refused.value.detail
    assert "CANARY" not in refused.value.detail


def test_f8_a_hash_of_another_algorithm_is_no_hash() -> None:
    with pytest.raises(BadRecord, match="its md5 is no md5"):
        read(ModelBody, model("a.pt", hashes={"md5": SHA256})).record("a", "1")


def test_every_schema_forbids_fields_that_it_does_not_know() -> None:
    made = schemas()
    assert {"ModelBody", "WorkflowBody", "CollectionBody", "ModelIds", "Machine"} <= made.keys()
    assert all(made[name]["additionalProperties"] is False for name in made if name.endswith("Body"))
