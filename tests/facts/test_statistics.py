from __future__ import annotations

from dataclasses import fields

from model_manager.facts.statistics import Statistics


def test_the_figures_are_those_that_stablequeue_gives_of_a_scan_and_more() -> None:
    names = {field.name for field in fields(Statistics)}
    theirs = {"total", "added", "updated", "hashesCalculated", "hashesSkipped", "errors"}
    assert theirs <= {_camel(name) for name in names}
    assert names >= {"removed", "described", "seconds"}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
