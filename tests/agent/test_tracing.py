from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.tracing import bus_of, downloading_of, tracer_of, wanting_of
from model_manager.agent.transfers.downloading import Downloading
from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.errors import BusUnavailable, Corrupt
from model_manager.facts.identity import MachineId
from model_manager.facts.transfer import Transfer
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.space import Space
from model_manager.sources.catalog_cache import CachedCatalog
from model_manager.sources.memory import Flip, Thing
from tests.agent.assignment.test_wanting import Catalog
from tests.agent.stage import Stage, model, settings
from tests.agent.transfers.test_downloading import ETAG, PLACE, SMALL, Attempt
from tests.bus.telling import Teller, entry
from tests.tracing.noted import Notes


def test_where_nobody_wants_traces_nothing_is_in_the_way(tmp_path: Path) -> None:
    assert (wanting_of(None), downloading_of(None), bus_of(None)) == (Wanting, Downloading, Bus)
    assert tracer_of(settings(tmp_path), AsyncExitStack()) is None


def test_what_is_wrong_with_traces_stops_no_agent(tmp_path: Path) -> None:
    assert tracer_of(settings(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4317"), AsyncExitStack()) is None


def traced(scene: Stage, attempt: Attempt) -> Notes:
    notes, board = Notes(), scene.board
    root = attempt.downloading._root
    attempt.downloading = downloading_of(notes)(
        (attempt.origin,), root, Space(0), board.clock, lambda: board.settings, Buffers()
    )
    return notes


async def test_each_attempt_is_a_span_with_its_verification_and_placing(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL), Thing(data=SMALL, etag=ETAG))
    notes = traced(scene, attempt)
    await attempt()
    (span,) = notes.spans
    assert (span.name, span.failed, [part.name for part in span.parts]) == ("fetch", "", ["verify", "place"])
    assert all(part.ended for part in span.parts)
    told = span.attributes
    assert (told["model"], told["attempt"], told["bytes"], told["fetched"]) == (PLACE, 1, len(SMALL), len(SMALL))
    assert all(isinstance(each, Transfer) for each in attempt.reports)


async def test_an_attempt_that_fails_says_so_and_ends_its_parts(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL), Thing(data=SMALL, etag=ETAG), Flip(at=1000))
    notes = traced(scene, attempt)
    with pytest.raises(Corrupt):
        await attempt()
    (span,) = notes.spans
    assert span.failed
    assert all(part.ended for part in span.parts)


async def test_what_is_published_is_a_span_and_a_redis_that_is_away_its_failure() -> None:
    notes, teller = Notes(), Teller("m1")
    redis = connect("unix:///nowhere")
    bus = bus_of(notes)(redis, MachineId.parse("m1"), "here", "", 1000, 60.0)
    teller.hello()
    teller.appear(entry("a.pt"))
    with pytest.raises(BusUnavailable):
        await bus.publish(teller.outbox)
    with pytest.raises(BusUnavailable):
        await bus.history(teller.outbox)
    with pytest.raises(BusUnavailable):
        await bus.snapshot(teller.snapshot(), teller.entries)
    assert [(span.name, span.failed, span.attributes) for span in notes.spans] == [
        ("publish", "BusUnavailable", {"events": 2}),
        ("publish", "BusUnavailable", {"events": 2}),
        ("publish", "BusUnavailable", {"events": 1, "models": 1}),
    ]
    await redis.aclose()


async def test_an_assignment_is_a_span_and_how_it_is_resolved_one_within_it(scene: Stage) -> None:
    notes = Notes()
    scene.configure(WORKFLOW_IDS="w")
    catalog = CachedCatalog(Catalog(), scene.state / "cache", scene.clock.now)
    await wanting_of(notes)(scene.board, scene.shelves, catalog, scene.state).look()
    assert [(span.name, span.within) for span in notes.spans] == [("assignment", ""), ("resolve", "assignment")]
    assert [span.attributes["models"] for span in notes.spans] == [1, 1]
