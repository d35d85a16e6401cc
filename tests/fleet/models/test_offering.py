from __future__ import annotations

from model_manager.facts.identity import Pin
from model_manager.fleet.models.offering import hash_of


def test_a_hash_that_can_be_of_several_kinds_stands_bare() -> None:
    assert hash_of(None) is None
    assert hash_of(Pin.parse("sha256:" + "ab" * 32)) == "sha256:" + "ab" * 32
    assert hash_of(Pin.parse("ab" * 32)) == "ab" * 32
