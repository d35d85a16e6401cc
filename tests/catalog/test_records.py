from __future__ import annotations

import pytest

from model_manager.catalog.records import Counts


@pytest.mark.parametrize(
    ("counts", "empty"), [((0, 0, 0), True), ((1, 0, 0), False), ((0, 1, 0), False), ((0, 0, 1), False)]
)
def test_a_catalog_is_empty_when_it_holds_nothing_of_any_kind(counts: tuple[int, int, int], empty: bool) -> None:
    models, workflows, collections = counts
    assert Counts(models=models, workflows=workflows, collections=collections).empty is empty
