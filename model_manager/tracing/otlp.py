"""Spans for a collector of OpenTelemetry (OTLP over HTTP): the one place that knows its packages, which are optional.

Sent by a thread of theirs, from a queue that is bounded; what a collector does not take is lost and holds nobody up. What the standard
variables say besides the address (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, …) the packages read themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from model_manager.errors import BadSetting
from model_manager.tracing.spans import Span, Tracer, Value

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SETTING: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
UNNAMED: Final = "unknown_service"


def exporting(endpoint: str, service: str, version: str) -> Tracer:
    """Sends to `endpoint`, as the variable of that name has it: the base, to which `/v1/traces` is added.

    Raises BadSetting for another address, and when the packages are not installed.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise BadSetting(name=SETTING, why="it is no http(s) address", fix="Write http://HOST:4318, for example.")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise BadSetting(
            name=SETTING,
            why=f"the packages that send traces are not installed ({error.name})",
            fix="Install them ('pip install model_manager[otel]'), or unset it.",
        ) from None
    return traced(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"), service, version)


def traced(exporter: SpanExporter, service: str, version: str) -> Tracer:
    """A tracer whose spans go to this exporter."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.version": version})
    if str(resource.attributes.get("service.name", UNNAMED)).startswith(UNNAMED):
        resource = resource.merge(Resource({"service.name": service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _Exporting(provider)


class _Exporting:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("model_manager")

    @contextmanager
    def span(self, name: str, carrier: Mapping[str, str] | None = None, **attributes: Value) -> Iterator[Span]:
        context = _told(carrier) if carrier else None
        with self._tracer.start_as_current_span(name, context, record_exception=False) as span:
            made = _Span(self._tracer, span)
            made.set(**attributes)
            yield made

    def headers(self) -> Mapping[str, str]:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier

    def close(self, seconds: float) -> None:
        """On a thread that ends with the process: a collector that is away holds nobody."""
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        last.join(seconds)


class _Span:
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    def set(self, **attributes: Value) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("_", "."), value)

    def child(self, name: str) -> Span:
        from opentelemetry.trace import set_span_in_context

        return _Span(self._tracer, self._tracer.start_span(name, set_span_in_context(self._span)))

    def end(self) -> None:
        self._span.end()


def _told(carrier: Mapping[str, str]) -> Context:
    """https://www.w3.org/TR/trace-context: what is no traceparent begins a trace of its own."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(carrier)
