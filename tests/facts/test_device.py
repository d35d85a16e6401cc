from __future__ import annotations

from model_manager.facts.device import Device


def test_paths_of_one_disk_share_what_is_kept_per_device() -> None:
    lanes = {Device(name="sda", kind="ssd"): 1}
    assert Device(name="sda", kind="ssd") in lanes
    assert Device(name="sdb", kind="ssd") not in lanes
