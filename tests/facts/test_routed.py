from __future__ import annotations

from model_manager.facts.routed import Routed


def test_parts_are_parts_of_all_claims() -> None:
    told = Routed(claims=8, missing=2, fetched=4)
    assert (told.efficiency, told.hits) == (0.75, 0.5)


def test_before_the_first_claim_nothing_is_a_part() -> None:
    assert (Routed().efficiency, Routed().hits) == (None, None)
