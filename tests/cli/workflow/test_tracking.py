from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.cli.environment import opened
from model_manager.cli.workflow.tracking import as_entered, insist_free, name_of, place_in
from model_manager.errors import BadRequest
from model_manager.facts.description import Address
from model_manager.facts.manifest import Manifest, ManifestModel

ONE = ManifestModel(
    key="one", folder="vae", name="a.pt", importance="optional", sha256="a" * 64,
    sources=(Address(kind="url", url="https://x.example/1"),),
)  # fmt: skip


def test_the_same_bytes_keep_their_key_their_sources_and_how_much_they_matter() -> None:
    news = ManifestModel(
        key="two", folder="vae", name="b.pt", sha256="a" * 64, sources=(Address(kind="url", url="https://x.example/2"),)
    )
    joined = as_entered(Manifest(models=(ONE,)), news)
    assert (joined.key, joined.name, joined.importance) == ("one", "b.pt", "optional")
    assert [source.url for source in joined.sources] == ["https://x.example/1", "https://x.example/2"]
    assert as_entered(Manifest(models=(ONE,)), news, "required").importance == "required"
    assert as_entered(Manifest(), news).key == "two"


@pytest.mark.parametrize(
    ("name", "called"), [("a.json", "a"), ("a.app.json", "a"), ("a b.png", "a b"), ("a.b.webp", "a.b")]
)
def test_a_workflow_is_called_like_its_file(name: str, called: str) -> None:
    assert name_of(Path(name)) == called


def test_what_is_no_json_of_the_environment_gets_a_place_in_it(tmp_path: Path) -> None:
    environment = opened(tmp_path)
    assert place_in(environment, tmp_path / "sub" / "a.json", "x", plain=True) == "sub/a.json"
    assert place_in(environment, tmp_path / "a.png", "x", plain=False) == "workflows/x.json"
    assert place_in(environment, tmp_path.parent / "a.json", "x", plain=True) == "workflows/x.json"


def test_another_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    insist_free(tmp_path / "a", b"1")
    insist_free(tmp_path / "b", b"1")
    with pytest.raises(BadRequest):
        insist_free(tmp_path / "a", b"2")
