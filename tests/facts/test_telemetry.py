from __future__ import annotations

from model_manager.facts import wire
from model_manager.facts.telemetry import Stocked, Telemetry


def test_the_names_are_those_that_dashboards_read() -> None:
    stock = Stocked(total_count=1, total_size_gb=0.5, by_type={"loras": 1}, last_updated=5)
    told = Telemetry(
        timestamp=5, service="s", eventType="e", traceId="t", machineId="m", level="info", data={"models": stock}
    )
    assert wire.loads(wire.dumps(told)) == {
        "timestamp": 5, "service": "s", "eventType": "e", "traceId": "t", "machineId": "m", "level": "info",
        "data": {"models": {"total_count": 1, "total_size_gb": 0.5, "by_type": {"loras": 1}, "last_updated": 5}},
    }  # fmt: skip
