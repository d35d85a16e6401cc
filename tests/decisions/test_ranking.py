from __future__ import annotations

import pytest

from model_manager.decisions.ranking import ranked
from model_manager.facts.model import Source

A, B, C = (Source(url=f"https://{name}.example/") for name in "abc")


@pytest.mark.parametrize(
    ("blamed", "order"),
    [
        ({}, (A, B, C)),
        ({A.url: 1}, (B, C, A)),
        ({A.url: 2, B.url: 1}, (C, B, A)),
        ({A.url: 1, B.url: 1, C.url: 1}, (A, B, C)),
        ({"https://other.example/": 9}, (A, B, C)),
    ],
)
def test_the_catalogs_order_with_those_that_failed_behind(blamed, order):
    assert ranked((A, B, C), blamed) == order
