from __future__ import annotations

from model_manager.facts.flow import Flow


def test_a_file_that_was_never_read_says_nothing_of_models() -> None:
    assert (Flow(name="f.json", file="/f.json").workflow, Flow(name="f.json", file="/f.json").why) == (None, "")
