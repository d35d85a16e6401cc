from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from model_manager.facts.event import Known, Unknown

KNOWN = [*get_args(Known)]


@pytest.mark.parametrize("event", KNOWN)
def test_every_event_says_what_it_is_and_is_documented_or_plain(event):
    kind = event.__dataclass_fields__["kind"].default
    assert kind == kind.lower()
    assert kind.count(".") >= 1
    assert [field.name for field in fields(event)][-1] == "kind"


def test_no_two_events_share_a_kind():
    kinds = [event.__dataclass_fields__["kind"].default for event in KNOWN]
    assert len(set(kinds)) == len(kinds)


def test_the_kinds_that_others_were_promised_exist():
    kinds = {event.__dataclass_fields__["kind"].default for event in KNOWN}
    promised = {
        "model.appeared", "model.vanished", "model.changed", "inventory.snapshot", "model.download.started",
        "model.download.verified", "model.download.failed", "assignment.changed", "readiness.changed", "scan.finished",
        "disk.low", "machine.hello", "machine.bye",
    }  # fmt: skip
    assert promised <= kinds


def test_an_event_never_changes():
    with pytest.raises(FrozenInstanceError):
        Unknown(kind="x", data={}).kind = "y"
