from __future__ import annotations

from dataclasses import fields

from model_manager.fleet.seed_answers import SeedScanStats


def test_the_scans_counters_are_those_of_the_plan() -> None:
    assert [each.name for each in fields(SeedScanStats)] == [
        "total", "added", "updated", "hashesCalculated", "hashesSkipped", "errors",
    ]  # fmt: skip
