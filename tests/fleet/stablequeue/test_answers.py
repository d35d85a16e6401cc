from __future__ import annotations

from dataclasses import fields

from model_manager.fleet.stablequeue.answers import StableQueueScanStats


def test_the_scans_counters_are_those_of_the_plan() -> None:
    assert [each.name for each in fields(StableQueueScanStats)] == [
        "total", "added", "updated", "hashesCalculated", "hashesSkipped", "errors",
    ]  # fmt: skip
