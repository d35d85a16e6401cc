from __future__ import annotations

import os

import pytest

from model_manager.agent.holdings.staffing import staffed
from model_manager.facts.device import Device, DeviceKind
from model_manager.settings import load


@pytest.mark.parametrize(
    ("kind", "at_once"),
    [("rotational", 1), ("network", 2), ("ssd", os.cpu_count() or 1), ("unknown", os.cpu_count() or 1)],
)
def test_each_device_is_read_as_suits_it(kind: DeviceKind, at_once: int) -> None:
    assert staffed(lambda: load({}))(Device(name="sda", kind=kind)) == at_once


def test_who_knows_the_device_better_says_so_and_may_say_otherwise_while_it_runs() -> None:
    environ = {"MODEL_MANAGER_READERS": "7"}
    workers = staffed(lambda: load(environ))
    disk = Device(name="sda", kind="rotational")
    assert workers(disk) == 7
    environ["MODEL_MANAGER_READERS"] = "0"
    assert workers(disk) == 1
