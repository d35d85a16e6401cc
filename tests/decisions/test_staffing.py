from __future__ import annotations

from typing import get_args

import pytest

from model_manager.decisions.staffing import workers
from model_manager.facts.device import DeviceKind


@pytest.mark.parametrize(
    ("kind", "files"), [("rotational", 1), ("network", 2), ("ssd", 8), ("memory", 8), ("overlay", 8), ("unknown", 8)]
)
def test_a_device_gets_as_many_readers_as_it_likes(kind: DeviceKind, files: int) -> None:
    assert workers(kind, 8) == files


@pytest.mark.parametrize("kind", get_args(DeviceKind))
def test_what_somebody_has_set_counts_and_nobody_can_set_none(kind: DeviceKind) -> None:
    assert workers(kind, 8, 3) == 3
    assert workers(kind, 8, 0) == 1
    assert workers(kind, 0) >= 1
