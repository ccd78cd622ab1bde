"""Spans of a call in every program, sent by OTLP where OTEL_EXPORTER_OTLP_ENDPOINT says so; else nothing is loaded."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from assay.errors import SettingsError

TRACEPARENT = "traceparent"
"""The key under which a call's span goes along; w3.org/TR/trace-context."""
given_traceparent: ContextVar[str] = ContextVar("given_traceparent", default="")
"""The caller's, where the call's metadata are not at hand."""
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_tracer: Any = None
_current: ContextVar[Any] = ContextVar("span", default=None)
"""The span of the call that the current task answers."""
_below: ContextVar[Any] = ContextVar("below", default=None)
"""OpenTelemetry's context below it, made once for all its stages."""


def trace_to_collector(program: str, version: str) -> None:
    """Begins to send spans, if the environment says where to. SettingsError if OpenTelemetry is not installed."""
    if not os.environ.get(_ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(f"{_ENDPOINT} is set, and OpenTelemetry is not here; pip install 'assay[trace]'") from None
    send_spans(program, version, BatchSpanProcessor(_counting(OTLPSpanExporter)()))


def send_spans(program: str, version: str, processor: Any) -> None:
    """Begins to hand every span of this process to a span processor of OpenTelemetry's."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _tracer
    provider = TracerProvider(resource=Resource.create({"service.name": program, "service.version": version}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("assay")


def _counting(exporter: Any) -> Any:
    """The exporter, which counts spans that the collector did not take."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    from assay.rpc import metrics

    class CountingExporter(exporter):  # type: ignore[misc]
        def export(self, spans: Any) -> Any:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                metrics.LOST_SPANS.inc(len(spans))
            return result

    return CountingExporter


@contextmanager
def call_span(name: str, metadata: Mapping[str, str], **attributes: str) -> Iterator[Any]:
    """The span of a call that is answered here: below that of its caller, and above all that is done for it."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, set_span_in_context

    given = metadata.get(TRACEPARENT, "")
    span = _tracer.start_span(name, _context(given), kind=SpanKind.SERVER, attributes=attributes)
    _current.set(span)
    _below.set(set_span_in_context(span, Context()))
    try:
        yield span
    finally:
        span.end()
        _current.set(None)


@contextmanager
def span(name: str, **attributes: str | int | float) -> Iterator[Any]:
    """A stage of the current call."""
    begun = begin_span(name, **attributes)
    try:
        yield begun
    finally:
        if begun is not None:
            begun.end()


def begin_span(name: str, **attributes: str | int | float) -> Any:
    """A stage that ends with its `end()`; None where nothing is traced or no call is answered."""
    if _tracer is None or _current.get() is None:
        return None
    return _tracer.start_span(name, _below.get(), attributes=attributes)


def record_span(name: str, parent: str, begin_seconds: float, end_seconds: float) -> None:
    """A stage that has ended, by time.monotonic(), below the span of that traceparent; nothing if there is none."""
    if _tracer is None or not parent:
        return
    began_ago, ended_ago = (time.monotonic() - seconds for seconds in (begin_seconds, end_seconds))
    span = _tracer.start_span(name, _context(parent), start_time=time.time_ns() - round(began_ago * 1e9))
    span.end(time.time_ns() - round(ended_ago * 1e9))


def traceparent(of: Any = None) -> str:
    """Of a span, or of the current call's; empty if there is none."""
    parent = of or _current.get()
    if parent is None:
        return ""
    context = parent.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(given: str) -> Any:
    """OpenTelemetry's context below that span; the root if it is none."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: given}, Context())
