from __future__ import annotations

from model_manager.facts import wire
from model_manager.facts.machine import Disk, Heartbeat, Readiness, WorkflowReadiness


def test_a_heartbeat_is_written_with_every_field_that_readers_were_promised():
    flow = WorkflowReadiness(name="flux", ready=False, reasons=("vae/x: queued",))
    beat = Heartbeat(
        machine_id="m1", installation="i", instance="n", epoch=1, state="fetching",
        readiness=Readiness(ready=False, reasons=flow.reasons, workflows=(flow,), generation="g", required=2, present=1),
        disks=(Disk(root="/m", free=1, total=2, floor=3),), version="1", host="h", at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    said = wire.loads(wire.dumps(beat))
    assert said["readiness"]["workflows"] == [{"name": "flux", "ready": False, "reasons": ["vae/x: queued"]}]
    assert said["disks"] == [{"root": "/m", "free": 1, "total": 2, "floor": 3, "quarantined": None}]
    assert (said["readiness"]["required"], said["readiness"]["present"]) == (2, 1)
