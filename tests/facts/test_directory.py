from __future__ import annotations

from model_manager.facts.directory import Directory


def test_a_directory_that_was_only_named_was_never_scanned() -> None:
    named = Directory(path="/mnt/nas")
    assert (named.state, named.scanned_at, named.why, named.own) == ("never scanned", "", "", False)
