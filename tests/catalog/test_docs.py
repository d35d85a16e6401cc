from __future__ import annotations

import pytest

from model_manager.catalog import docs
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, CustomNode, Need, Record
from model_manager.catalog.shapes import Model
from model_manager.facts import wire

MODEL = CatalogModel(
    id="m", name="m.pt", version="2", sources=("https://a", "https://b"), save_to="vae", size="1GB", hash="ab",
    hashes=(("md5", "cd"),), auth_required=True, auth_env_var="HF_TOKEN", model_type="vae", base_model="SDXL", licence="MIT",
    vram_gb=8.5, description="d\n", dependencies=("t5",),
)  # fmt: skip
WORKFLOW = CatalogWorkflow(
    id="w", name="w", description="d", needs=(Need(model="m"), Need(model="n", required=False)),
    custom_nodes=(CustomNode(name="n", repository_url="https://n", branch="b", commit="c", install_order=3),),
    min_vram_gb=24, machine_type="gpu",
)  # fmt: skip
COLLECTION = CatalogCollection(id="c", name="c", description="d", workflows=("w", "x"))


@pytest.mark.parametrize("record", [MODEL, WORKFLOW, COLLECTION], ids=lambda record: type(record).__name__)
def test_a_record_comes_back_from_its_json_as_it_was(record: Record) -> None:
    assert docs.record_of(docs.kind_of(record), wire.loads(docs.text_of(record))) == record


def test_a_model_is_kept_in_the_very_shape_in_which_it_is_answered() -> None:
    assert list(docs.doc_of(MODEL)) == list(Model.__dataclass_fields__)
    assert docs.doc_of(MODEL)["downloadUrl"] == "https://a"
    assert docs.doc_of(CatalogModel(id="m", name="m"))["downloadUrl"] is None
