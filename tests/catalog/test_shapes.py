"""Records as the two families write them."""

from __future__ import annotations

import pytest

from model_manager.catalog import shapes
from model_manager.catalog.records import CatalogModel


@pytest.mark.parametrize(
    ("size", "gigabytes"),
    [
        (6_940_000_000, 6.94),
        (2_097_152, 0.002097),
        (0, 0.0),
        ("17.2GB", 17.2),
        (" 512 mb ", 0.512),
        ("1.5T", 1500.0),
        ("about 3GB", None),
        ("", None),
        (None, None),
    ],
)
def test_sizes_are_gigabytes_of_ten_to_the_ninth(size: int | str | None, gigabytes: float | None) -> None:
    assert shapes.api_model(CatalogModel(id="m", name="m", size=size))["file_size_gb"] == gigabytes


@pytest.mark.parametrize(
    ("variable", "provider"),
    [("HF_TOKEN", "huggingface"), ("CIVITAI_TOKEN", "civitai"), ("OTHER", "OTHER"), (None, None), ("", None)],
)
def test_a_variable_is_a_provider_in_the_bare_family(variable: str | None, provider: str | None) -> None:
    assert shapes.api_model(CatalogModel(id="m", name="m", auth_env_var=variable))["auth_provider"] == provider


def test_a_gated_model_without_a_variable_is_counted_and_never_available() -> None:
    counted = shapes.authorization([("", "m")], {"HF_TOKEN"})
    assert counted["authProviders"] == [
        {"envVar": None, "isAvailable": False, "modelCount": 1, "modelNames": ["m"]},
    ]
