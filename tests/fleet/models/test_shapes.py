from __future__ import annotations

from dataclasses import fields

from model_manager.fleet.models.shapes import Offered
from model_manager.fleet.stablequeue.shapes import StableQueueRelease


def test_a_release_has_what_a_machine_is_asked_to_fetch() -> None:
    assert {"place", "sources", "hash"} <= {each.name for each in fields(StableQueueRelease)}
    assert {"url", "teller", "weight", "why", "taken"} == {each.name for each in fields(Offered)}
