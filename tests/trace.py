"""python -m tests.trace [FILE]: scores one file with the whole stack, and prints the spans of that request as a tree.

The collector is a server of OTLP here; the programs send to it as to any other. Exit code 1 if a program's span is
missing, or if more than 5 % of the request is in no stage.
"""

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

ROOT = Path(__file__).parent.parent
PROGRAMS = {"gateway", "attribute_extraction", "scoring", "engine"}
_MAX_GAP = 0.05


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


def request_of(spans: Sequence[Span]) -> list[Span]:
    """The spans of the longest request."""
    by_trace = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)
    return max(by_trace.values(), key=lambda each: max(s.end_ns - s.start_ns for s in each))


def root_of(spans: Sequence[Span]) -> Span:
    """The one that is below no other."""
    ids = {span.span_id for span in spans}
    return next(span for span in spans if span.parent_id not in ids)


def gap_share(spans: Sequence[Span]) -> float:
    """The longest time in no stage, as a share of the root's."""
    root = root_of(spans)
    reached, longest = root.start_ns, 0
    for span in sorted((each for each in spans if each is not root), key=lambda each: each.start_ns):
        longest = max(longest, span.start_ns - reached)
        reached = max(reached, span.end_ns)
    return max(longest, root.end_ns - reached) / (root.end_ns - root.start_ns)


def tree(spans: Sequence[Span]) -> Iterator[str]:
    """A line per span, indented below its parent."""
    root, children = root_of(spans), defaultdict(list)
    for span in sorted(spans, key=lambda each: each.start_ns):
        children[span.parent_id].append(span)

    def lines(span: Span, depth: int) -> Iterator[str]:
        begin, length = (span.start_ns - root.start_ns) / 1e6, (span.end_ns - span.start_ns) / 1e6
        yield f"{begin:8.1f} {length:8.1f} ms  {'  ' * depth}{span.name}  [{span.program}]"
        for child in children[span.span_id]:
            yield from lines(child, depth + 1)

    yield from lines(root, 0)


async def _main(files: Sequence[str]) -> int:
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assay.cli", "demo", *files, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    code = await demo.wait()
    await server.stop(1)
    if code:
        return code
    spans = request_of(collector.spans)
    print(*tree(spans), sep="\n")
    gap, missing = gap_share(spans), PROGRAMS - {span.program for span in spans}
    print(f"{len(spans)} spans; the longest time in no stage is {gap:.1%} of the request; missing: {missing or 'none'}")
    return int(bool(missing) or gap > _MAX_GAP)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1:] or ["demo/video.mp4"])))
