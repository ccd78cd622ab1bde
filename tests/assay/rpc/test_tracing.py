"""One request as spans: every hop under one trace, refusals and cancelled streams too."""

import asyncio

import grpc
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assay.rpc import tracing
from assay.v1 import assay_pb2
from tests.gateway.http.serving import http_client
from tests.gateway.serving import gateway
from tests.gateway.test_fetching import judged, reachable
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = ("traceparent", f"00-{TRACE}-{ABOVE}-01")


@pytest.fixture
def spans(monkeypatch):
    """What is sent, by name."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.send_spans("test", "0", SimpleSpanProcessor(exporter))
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


def image(data: bytes) -> assay_pb2.ScoreImageRequest:
    return assay_pb2.ScoreImageRequest(image=data, config=assay_pb2.ScoreConfig(form=2))


async def test_every_hop_of_a_request_is_in_the_callers_trace(pool, spans):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as client:
        await client.stub.ScoreImage(image(media("jpeg.jpg").read_bytes()), metadata=[PARENT])
    found = spans()
    hops = {
        "/assay.v1.AssayService/ScoreImage",
        "admission",
        "decode",
        "call attribute extraction",
        "call scoring",
        "merge",
        "/assay.v1.AttributeExtractionService/ExtractAttributes",
        "/assay.v1.ScoringService/Score",
    }
    assert hops <= set(found)
    assert {f"{found[name].context.trace_id:032x}" for name in hops} == {TRACE}
    assert f"{found['/assay.v1.AssayService/ScoreImage'].parent.span_id:016x}" == ABOVE


async def test_a_request_over_http_is_in_the_callers_trace_too(pool, spans):
    async with http_client(pool) as client:
        answer = await client.post(
            "/v1/images:score", content=media("jpeg.jpg").read_bytes(), headers=dict([PARENT, ("x-request-id", "r-1")])
        )
    assert answer.status_code == 200
    found = spans()
    (call,) = (each for name, each in found.items() if "images:score" in name)
    assert (f"{call.parent.span_id:016x}", call.attributes["request_id"]) == (ABOVE, "r-1")
    hops = {"decode", "call scoring", "/assay.v1.ScoringService/Score", "merge"}
    assert {f"{found[name].context.trace_id:032x}" for name in hops} == {TRACE}


async def test_the_fetch_of_a_uri_is_in_the_trace(pool, spans, tmp_path):
    async with reachable(pool, tmp_path) as (caller, server):
        await judged(caller, server.uri("/jpeg.jpg"))
    found = spans()
    assert found["call fetch"].parent.span_id == found["/assay.v1.AssayService/ScoreUri"].context.span_id
    assert found["/assay.v1.FetchService/Fetch"].context.trace_id == found["call fetch"].context.trace_id


async def test_a_refused_request_has_a_span_that_says_why(pool, spans):
    async with gateway(pool) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await client.stub.ScoreImage(image(b""))
    assert spans()["/assay.v1.AssayService/ScoreImage"].attributes["reason"] == "INVALID_REQUEST"


async def test_a_cancelled_stream_ends_its_span(pool, spans):
    async with gateway(pool) as client:
        call = client.stub.StreamImage()
        await call.write(assay_pb2.StreamImageRequest(config=assay_pb2.ScoreConfig(form=1)))
        await call.initial_metadata()
        call.cancel()
        async with asyncio.timeout(10):
            while "/assay.v1.AssayService/StreamImage" not in spans():  # noqa: ASYNC110 the exporter tells nobody
                await asyncio.sleep(0.01)
    assert spans()["/assay.v1.AssayService/StreamImage"].attributes["reason"] == "CANCELLED"


async def test_nothing_is_traced_where_no_collector_is_named(pool):
    assert tracing.begin_span("decode") is None
