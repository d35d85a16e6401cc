from __future__ import annotations

from pathlib import Path

from model_manager.cli.importing import analysed, models_of, sample
from model_manager.facts.analysis import Item
from model_manager.facts.manifest import Manifest, ManifestModel
from tests.cli.model.conftest import put
from tests.cli.workflow.conftest import LORA

MODEL = ManifestModel(key="k", folder="loras", name="a/b.pt", size=5, sha256="a" * 64)


def test_on_a_machine_without_an_index_nothing_is_here(tmp_path: Path) -> None:
    (item,) = analysed(Manifest(models=(MODEL,)), tmp_path / "none", None).items
    assert item.outcome == "unknown"


def test_only_what_has_to_be_brought_is() -> None:
    items = [Item(model=MODEL, outcome=outcome, why="") for outcome in ("here", "likely", "unknown", "linked")]
    (model,) = models_of(items)
    assert (model.name, str(model.path), model.pin) == ("b.pt", "loras/a/b.pt", MODEL.pin)


def test_a_file_that_cannot_be_read_has_no_samples(tmp_path: Path) -> None:
    assert sample(str(tmp_path / "none")) == ""
    assert len(sample(str(put(tmp_path / "a", LORA)))) == 16
