"""python -m tests.overhead: the processor time that mTLS, traces and quotas add to a request, also with nobody there.

One process is gateway, both services and client; the model is scripted and costs nothing, so a share is of the least
that a request can cost, and another of one with nano's engine. In each round every kind of request is made a few times,
in an order of its own. Not of this process: decode workers, collector, Redis.
"""

import argparse
import asyncio
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from assay.rpc import metrics, tracing
from assay.rpc.tls import PemFiles
from assay.v1 import assay_pb2
from gateway.decode.jobs import DecodePool
from tests.certificates import Authority
from tests.gateway.serving import Caller, gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

ENGINE_MS = 129
"""Of nano's engine for a reasoned answer, eight in flight (benchmarks/LOG.md, 1 December 2026)."""
_REQUESTS = 5
_ROUNDS_PER_EXPORT = 10
"""About 400 spans; by itself OpenTelemetry sends 512 at once."""
_TRIMMED = 0.1
"""Of the differences at either end: what the machine does meanwhile."""
_COLLECTOR = """
import grpc, sys, time
from concurrent import futures
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb, trace_service_pb2_grpc as rpc
class Collector(rpc.TraceServiceServicer):
    def Export(self, request, context):
        return pb.ExportTraceServiceResponse()
server = grpc.server(futures.ThreadPoolExecutor(2))
rpc.add_TraceServiceServicer_to_server(Collector(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@dataclass(slots=True)
class Kind:
    """Requests of one kind, and what each round of them took of this process."""

    said: str
    caller: Caller
    than: "Kind | None" = None
    """What it is compared with."""
    tracer: Any = None
    exporting: Any = None
    """The span processor, which sends when it is asked to, so that it is known what it sends for whom."""
    spent_ms: list[float] = field(default_factory=list)
    exporting_ms: float = 0.0
    """For all rounds."""

    async def spend(self) -> None:
        """One round."""
        tracing._tracer = self.tracer
        picture = media("jpeg.jpg").read_bytes()
        request = assay_pb2.ScoreImageRequest(image=picture, config=assay_pb2.ScoreConfig(form="ANSWER_FORM_REGULAR"))
        started = time.process_time()
        for _ in range(_REQUESTS):
            await self.caller.stub.ScoreImage(request)
        self.spent_ms.append((time.process_time() - started) / _REQUESTS * 1000)
        if self.exporting and len(self.spent_ms) % _ROUNDS_PER_EXPORT == 0:
            started = time.process_time()
            await asyncio.to_thread(self.exporting.force_flush)
            self.exporting_ms += (time.process_time() - started) * 1000

    def forget(self) -> None:
        """Begins anew."""
        self.spent_ms.clear()
        self.exporting_ms = 0.0

    @property
    def export_ms(self) -> float:
        """For one request."""
        return self.exporting_ms / len(self.spent_ms) / _REQUESTS

    def row(self) -> str:
        """The difference in the middle of all rounds, and its standard error."""
        assert self.than
        base = statistics.median(self.than.spent_ms)
        more = sorted(after - before for before, after in zip(self.than.spent_ms, self.spent_ms, strict=True))
        middle = more[(cut := round(_TRIMMED * len(more))) : len(more) - cut]
        mean = statistics.mean(middle) + self.export_ms - self.than.export_ms
        error = statistics.stdev(middle) / len(middle) ** 0.5
        with_engine = mean / (base + ENGINE_MS)
        return f"{self.said:34} {base:6.1f} {mean:+7.2f} ± {error:.2f} {mean / base:+8.1%} {with_engine:+8.2%}"


def _traced(port: int) -> tuple[Any, Any]:
    """A tracer that sends to that port, and its processor."""
    exporter = tracing._counting(OTLPSpanExporter)(f"http://127.0.0.1:{port}", insecure=True, timeout=0.5)
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=1e9)
    tracing.send_spans("test", "0", processor)
    made, tracing._tracer = tracing._tracer, None
    return made, processor


@asynccontextmanager
async def _collector() -> AsyncIterator[int]:
    """The port of one in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _COLLECTOR, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def _kinds(stack: AsyncExitStack) -> Sequence[Kind]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    authority, model = Authority(folder), ScriptedGenerator()
    files = PemFiles(*authority.issue("program", "spiffe://assay/program"), authority.file)
    pool = await stack.enter_async_context(DecodePool(workers=1, spares=0))

    async def served(**options: Any) -> Caller:
        return await stack.enter_async_context(gateway(pool, model, model, **options))

    quotas = {"tokens_per_minute": 1 << 40}
    open_to_all = await served()
    plain = Kind("plain", open_to_all)
    traced = Kind("traces", open_to_all, plain, *_traced(await stack.enter_async_context(_collector())))
    another = Kind("another gateway, the same", await served(), plain)
    limited = Kind("quotas in memory", await served(quotas=quotas), another)
    return [
        plain,
        another,
        Kind("mTLS between the programs", await served(between=files), another),
        traced,
        Kind("traces, collector down", open_to_all, traced, *_traced(1)),
        limited,
        Kind("quotas, Redis down", await served(quotas=quotas | {"redis": "redis://127.0.0.1:1/0"}), limited),
    ]


async def _main(rounds: int) -> None:
    logging.disable(logging.ERROR)  # the exporter says at each attempt that nobody is there
    async with AsyncExitStack() as stack:
        kinds = await _kinds(stack)
        for number in range(rounds + 1):
            for kind in random.sample(kinds, len(kinds)):
                await kind.spend()
            if not number:  # the first one warms up
                for kind in kinds:
                    kind.forget()
        print(f"{rounds} rounds of {_REQUESTS} requests; ms of the processor for one, and what is more")
        print(f"{'':34} {'before':>6} {'more':>14} {'of it':>8} {'nano':>8}")
        for kind in kinds[1:]:
            print(kind.row())
    lost, alone = metrics.LOST_SPANS._value.get(), metrics.QUOTA_STORE_FAILURES._value.get()
    print(f"counted meanwhile: {lost:g} lost spans, {alone:g} times that Redis did not answer")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    asyncio.run(_main(parser.parse_args().rounds))
