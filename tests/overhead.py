"""python -m tests.overhead: the processor time that mTLS, traces and quotas add to a request, also with nobody there.

Pairs of rounds in one process, which is gateway, both services and client; the model is scripted and costs nothing, so
the shares are of the least that a request can cost, and of one with nano's engine. Not of this process: decode workers,
collector, Redis.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from assay.rpc import tracing
from assay.rpc.tls import PemFiles
from assay.v1 import assay_pb2
from gateway.decode.jobs import DecodePool
from tests.certificates import Authority
from tests.gateway.serving import Caller, gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

ENGINE_MS = 216
"""Of nano's engine for a reasoned answer, eight in flight (benchmarks/LOG.md, 30 November 2026)."""
_REQUESTS = 25
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


async def _cpu_ms(caller: Caller, tracer: Any) -> float:
    """Of this process, for a request."""
    tracing._tracer = tracer
    request = assay_pb2.ScoreImageRequest(
        image=media("jpeg.jpg").read_bytes(), config=assay_pb2.ScoreConfig(form="ANSWER_FORM_REGULAR")
    )
    started = time.process_time()
    for _ in range(_REQUESTS):
        await caller.stub.ScoreImage(request)
    return (time.process_time() - started) / _REQUESTS * 1000


async def _paired(said: str, rounds: int, plain: Callable[[], Any], other: Callable[[], Any]) -> None:
    pairs = []
    for number in range(rounds + 1):
        # The order changes, so that what the machine does meanwhile is in both; the first pair warms up.
        first, second = (plain, other) if number % 2 else (other, plain)
        spent = {first: await first(), second: await second()}
        pairs.append((spent[plain], spent[other]))
    base = statistics.median(before for before, _ in pairs[1:])
    more = statistics.median(after - before for before, after in pairs[1:])
    print(f"{said}: {base:.1f} ms {more:+.2f} ms; {more / (base + ENGINE_MS):+.1%} with nano's engine", flush=True)


def _tracer_to(port: int) -> Any:
    tracing.send_spans("test", "0", BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}", insecure=True)))
    made, tracing._tracer = tracing._tracer, None
    return made


async def _main(rounds: int) -> None:
    collector = await asyncio.create_subprocess_exec(sys.executable, "-c", _COLLECTOR, stdout=asyncio.subprocess.PIPE)
    assert collector.stdout is not None
    to_collector, to_nobody = _tracer_to(int(await collector.stdout.readline())), _tracer_to(1)
    model = ScriptedGenerator()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        files = PemFiles(*authority.issue("program", "spiffe://assay/program"), authority.file)
        pool = await stack.enter_async_context(DecodePool(workers=2, spares=0))

        async def served(**options: Any) -> Caller:
            return await stack.enter_async_context(gateway(pool, model, model, **options))

        plain = await served()
        locked = await served(between=files)
        limited = await served(quotas={"tokens_per_minute": 1 << 40})
        alone = await served(quotas={"tokens_per_minute": 1 << 40, "redis": "redis://127.0.0.1:1/0"})
        await _paired("nothing, twice", rounds, lambda: _cpu_ms(plain, None), lambda: _cpu_ms(plain, None))
        await _paired("mTLS between the programs", rounds, lambda: _cpu_ms(plain, None), lambda: _cpu_ms(locked, None))
        await _paired("traces", rounds, lambda: _cpu_ms(plain, None), lambda: _cpu_ms(plain, to_collector))
        await _paired(
            "traces, collector down", rounds, lambda: _cpu_ms(plain, to_collector), lambda: _cpu_ms(plain, to_nobody)
        )
        await _paired("quotas, Redis down", rounds, lambda: _cpu_ms(limited, None), lambda: _cpu_ms(alone, None))
    collector.kill()
    await collector.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    asyncio.run(_main(parser.parse_args().rounds))
