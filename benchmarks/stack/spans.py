"""Spans of all programs, as a collector gets them, and when each stage of like requests began and ended."""

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True)
class Span:
    """As it came."""

    program: str
    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start_ns: int
    end_ns: int
    attributes: dict[str, str] = field(default_factory=dict)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 the name is the contract's
        for resource in request.resource_spans:
            said = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for each in scope.spans:
                    attributes = {pair.key: pair.value.string_value for pair in each.attributes}
                    ids = each.trace_id, each.span_id, each.parent_span_id
                    times = each.start_time_unix_nano, each.end_time_unix_nano
                    self.spans.append(Span(said["service.name"], each.name, *ids, *times, attributes))
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A server of OTLP on loopback, to which programs that are started meanwhile send their spans."""
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port, before = server.add_insecure_port("127.0.0.1:0"), os.environ.get(_ENDPOINT)
    await server.start()
    os.environ[_ENDPOINT] = f"http://127.0.0.1:{port}"
    try:
        yield collector
    finally:
        os.environ.pop(_ENDPOINT)
        if before is not None:
            os.environ[_ENDPOINT] = before
        await server.stop(1)


def stages(spans: Sequence[Span], root: str, skipped: int) -> str:
    """Markdown: when each stage began and ended, in ms after the root of that name; medians over all requests but the
    first so many. The stages of one name in one program are numbered by their beginning."""
    requests = defaultdict(list)
    for span in spans:
        requests[span.trace_id].append(span)
    roots = sorted((span for span in spans if span.name == root), key=lambda span: span.start_ns)[skipped:]
    times = defaultdict[tuple[str, str, int], list[tuple[float, float]]](list)
    for begun in roots:
        numbers = defaultdict[tuple[str, str], int](int)
        for span in sorted(requests[begun.trace_id], key=lambda span: span.start_ns):
            name = span.program, span.name
            numbers[name] += 1
            at = tuple((each - begun.start_ns) / 1e6 for each in (span.start_ns, span.end_ns))
            times[*name, numbers[name]].append((at[0], at[1]))
    rows = [(*(median(each) for each in zip(*found, strict=True)), name) for name, found in times.items()]
    lines = ["| program | stage | | begins, ms | ends, ms |", "|---|---|---|---|---|"]
    for begin, end, (program, stage, number) in sorted(rows):
        lines.append(f"| {program} | {stage} | {number} | {begin:.1f} | {end:.1f} |")
    return "\n".join(lines)
