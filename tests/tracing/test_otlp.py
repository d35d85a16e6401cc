from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from model_manager.errors import BadSetting
from model_manager.tracing.otlp import exporting, traced
from model_manager.tracing.spans import Tracer

pytestmark = pytest.mark.needs("otel")

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@contextmanager
def remembered() -> Iterator[tuple[Tracer, Any]]:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracer = traced(exporter, "service", "1.0")
    yield tracer, exporter


def ended(tracer: Tracer, exporter: Any) -> dict[str, Any]:
    exporter.shutdown = lambda: None
    tracer.close(20)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_span_within_another_is_its_child_and_says_what_became_known() -> None:
    with remembered() as (tracer, exporter):
        with tracer.span("assignment", models=2) as outer:
            with tracer.span("resolve"):
                pass
            part = outer.child("verify")
            part.set(http_route="/x")
            part.end()
        spans = ended(tracer, exporter)
    assert spans["assignment"].attributes == {"models": 2}
    assert spans["verify"].attributes == {"http.route": "/x"}
    assert {spans[name].parent.span_id for name in ("resolve", "verify")} == {spans["assignment"].context.span_id}
    assert (
        dict(spans["assignment"].resource.attributes).items()
        >= {"service.name": "service", "service.version": "1.0"}.items()
    )


def test_what_leaves_the_block_is_told_as_its_failure_and_goes_on() -> None:
    with remembered() as (tracer, exporter):
        with pytest.raises(ValueError, match="no"), tracer.span("fetch"):
            raise ValueError("no")
        span = ended(tracer, exporter)["fetch"]
    assert (span.status.is_ok, span.status.description, span.events) == (False, "ValueError: no", ())


@pytest.mark.parametrize(
    ("carrier", "trace"),
    [
        (PARENT, 0x0AF7651916CD43DD8448EB211C80319C),
        ({"traceparent": "nonsense"}, None),
        ({}, None),
        ({"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}, None),
    ],
)
def test_a_traceparent_is_taken_on_and_nonsense_begins_a_trace_of_its_own(
    carrier: dict[str, str], trace: int | None
) -> None:
    with remembered() as (tracer, exporter):
        with tracer.span("GET /fleet", carrier):
            pass
        span = ended(tracer, exporter)["GET /fleet"]
    assert (span.parent is not None) == (trace is not None)
    assert trace is None or span.context.trace_id == trace


class Collector(ThreadingHTTPServer):
    """Takes traces over HTTP, as the protocol has it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[tuple[str, Any]] = []


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        told = ExportTraceServiceRequest()
        told.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, told))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_a_collector_hears_of_it_over_http(collector: Collector) -> None:
    tracer = exporting(f"http://127.0.0.1:{collector.server_port}/", "model_manager.agent", "1.0")
    with tracer.span("publish", events=3):
        pass
    tracer.close(20)
    ((path, told),) = collector.taken
    (span,) = told.resource_spans[0].scope_spans[0].spans
    assert (path, span.name, span.attributes[0].value.int_value) == ("/v1/traces", "publish", 3)


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    tracer = exporting("http://127.0.0.1:1", "s", "1.0")
    for _ in range(5_000):
        with tracer.span("publish"):
            pass
    begun = time.monotonic()
    tracer.close(0.2)
    assert time.monotonic() - begun < 15


def test_another_address_is_refused() -> None:
    with pytest.raises(BadSetting, match="http://HOST:4318"):
        exporting("localhost:4317", "s", "1.0")


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any, **rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name=name)
        return real(name, *more, **rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BadSetting, match=r"pip install model_manager\[otel\]"):
        exporting("http://127.0.0.1:4318", "s", "1.0")
