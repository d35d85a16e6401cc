"""Records as the two families write them."""

from __future__ import annotations

import pytest

from model_manager.catalog import docs, shapes
from model_manager.catalog.records import CatalogModel, Gated, Position
from model_manager.facts import wire


@pytest.mark.parametrize(
    ("size", "gigabytes"),
    [
        (6_940_000_000, 6.94), (2_097_152, 0.002097), (0, 0.0), ("17.2GB", 17.2), (" 512 mb ", 0.512), ("1.5T", 1500.0),
        ("about 3GB", None), ("", None), (None, None), ("9" * 400 + "GB", None), ("٣GB", None),
    ],
)  # fmt: skip
def test_sizes_are_gigabytes_of_ten_to_the_ninth(size: int | str | None, gigabytes: float | None) -> None:
    assert shapes.api_model(docs.doc_of(CatalogModel(id="m", name="m", size=size))).file_size_gb == gigabytes


@pytest.mark.parametrize(
    ("variable", "provider"),
    [("HF_TOKEN", "huggingface"), ("CIVITAI_TOKEN", "civitai"), ("OTHER", "OTHER"), (None, None), ("", None)],
)
def test_a_variable_is_a_provider_in_the_bare_family(variable: str | None, provider: str | None) -> None:
    assert (
        shapes.api_model(docs.doc_of(CatalogModel(id="m", name="m", auth_env_var=variable))).auth_provider == provider
    )


def test_a_gated_model_without_a_variable_is_counted_and_never_available() -> None:
    counted = shapes.authorization([Gated("", 1, '["m"]')], {"HF_TOKEN"}, "this server")
    provider = {"envVar": None, "isAvailable": False, "modelCount": 1, "modelNames": ["m"]}
    assert wire.loads(wire.dumps(counted))["authProviders"] == [provider]


def test_a_hash_that_only_stands_under_its_algorithm_is_given_to_who_knows_one_field() -> None:
    assert shapes.api_model(docs.doc_of(CatalogModel(id="m", name="m", hashes=(("sha256", "ab"),)))).hash == "ab"


def test_a_cursor_names_the_life_of_a_database_and_a_place_in_it() -> None:
    assert shapes.cursor_of(Position(epoch="00ff00ff", seq=7)) == "00ff00ff-7"
