from __future__ import annotations

from pathlib import Path

import aiohttp

from model_manager.catalog.run import serve
from model_manager.catalog.tracing import tracer_at
from tests.tracing.noted import Notes


async def test_requests_to_the_catalog_are_spans(tmp_path: Path) -> None:
    notes = Notes()
    async with (
        serve(tmp_path / "c.sqlite", tracer=notes) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/models?limit=1", headers={"traceparent": "t"}) as answer,
    ):
        assert answer.status == 200
    assert [span.name for span in notes.spans] == ["GET /models"]
    assert (notes.spans[0].carrier or {})["traceparent"] == "t"
    assert notes.closed


def test_without_an_address_there_are_none_and_a_wrong_one_stops_nothing() -> None:
    assert tracer_at(None) is None
    assert tracer_at("") is None
    assert tracer_at("localhost:4317") is None
