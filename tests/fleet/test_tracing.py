from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.fleet import run
from model_manager.fleet.tracing import tracer_of
from tests.bus.servers import Server
from tests.fleet.stage import served, settings_for
from tests.tracing.noted import Notes

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_requests_are_spans_within_the_trace_of_who_asks(
    shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    monkeypatch.setattr(run, "tracer_of", lambda settings: notes)
    async with served(settings_for(shared.url, tmp_path)) as client:
        await client.exact()
        notes.spans.clear()
        await client.get("/machines?limit=1", headers={"traceparent": PARENT})
        await client.get("/machines/nobody", 404)
        await client.get("/no-such-route", 404)
        async with client.session.get(f"{client.url}/events/stream") as stream:
            assert stream.status == 200
    assert [span.name for span in notes.spans] == ["GET /machines", "GET /machines/{machine_id}", "GET none"]
    assert [span.attributes["http_response_status"] for span in notes.spans] == [200, 404, 404]
    assert (notes.spans[0].carrier or {})["traceparent"] == PARENT
    assert notes.closed


def test_without_the_setting_there_are_none_and_a_wrong_one_stops_nothing(tmp_path: Path) -> None:
    plain = settings_for("redis://127.0.0.1:1", tmp_path)
    assert tracer_of(plain) is None
    wrong = settings_for("redis://127.0.0.1:1", tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4317")
    assert tracer_of(wrong) is None
