"""assay/client/connection.py: what a client shows to a server, and that its file waits for the server's word."""

import time

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, use_span

from assay.cli import main
from assay.client import AsyncClient, Client, Credentials
from assay.client.connection import metadata
from assay.errors import InvalidRequest, OverLimit, QuotaExceeded, SettingsError
from assay.rpc.authentication import ApiKeys, Tokens
from assay.rpc.security import Security
from assay.rpc.serve import listening
from assay.rpc.tls import PemFiles
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2
from tests.assay.scripted_gateway import JPEG, result, started
from tests.certificates import Authority
from tests.tokens import API_KEY, write_api_keys


class Judging(assay_pb2_grpc.AssayServiceServicer):
    """Counts the chunks that it is sent."""

    chunks = 0
    refusal: Exception | None = None

    async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
        await anext(requests)
        if self.refusal:
            raise self.refusal
        await context.send_initial_metadata(())
        async for _ in requests:
            self.chunks += 1
        events = [started(), event_of(result())]
        yield assay_pb2.StreamImageResponse(events=events)


def event_of(judged):
    return event_pb2.ScoreEvent(result=judged)


def serving(service, security=None):
    return listening(
        "127.0.0.1:0",
        lambda server: assay_pb2_grpc.add_AssayServiceServicer_to_server(service, server),
        [],
        security=security or Security(),
    )


@pytest.fixture
def guarded(tmp_path):
    """Security of a server with TLS and an API key, and what its client needs."""
    authority = Authority(tmp_path)
    security = Security(
        PemFiles(*authority.issue("gateway"), authority.file), Tokens([ApiKeys(write_api_keys(tmp_path))])
    )
    (token := tmp_path / "token").write_text(API_KEY + "\n")
    return security, Credentials(tls_ca=authority.file, token_file=token)


async def test_a_file_is_scored_over_tls_with_a_token(guarded):
    security, credentials = guarded
    async with serving(Judging(), security) as (_, address), AsyncClient(address, credentials=credentials) as client:
        assert (await client.score(JPEG)).score.value == pytest.approx(6.53)


async def test_a_client_that_is_refused_sends_no_byte_of_its_file():
    service = Judging()
    service.refusal = OverLimit("full")
    async with serving(service) as (_, address), AsyncClient(address) as client:
        with pytest.raises(OverLimit):
            await client.score(b"\xff\xd8\xff" + bytes(8 << 20))
    assert service.chunks == 0


async def test_a_renewed_token_is_shown_with_the_next_call(tmp_path):
    (file := tmp_path / "token").write_text("one\n")
    credentials = Credentials(token_file=file)
    assert ("authorization", "Bearer one") in metadata(credentials)
    file.write_text("two\n")
    assert ("authorization", "Bearer two") in metadata(credentials)


def test_a_token_does_not_go_over_the_network_in_plain_text():
    with pytest.raises(InvalidRequest, match="--tls-ca"):
        Client("gateway.example:50051", credentials=Credentials(token="x"))


async def test_a_token_that_cannot_be_read_is_named(tmp_path):
    async with AsyncClient("127.0.0.1:1", credentials=Credentials(token_file=tmp_path / "none")) as client:
        with pytest.raises(SettingsError, match="none cannot be read"):
            await client.score(JPEG)


def test_a_key_is_made_and_known_by_its_hash_alone(tmp_path, capsys):
    assert main(["key", "--tenant", "acme", "--scopes", "score,uri"]) == 0
    printed = capsys.readouterr()
    (file := tmp_path / "keys.toml").write_text(printed.out)
    key = printed.err.split()[-1]
    identity = ApiKeys(file).identity(key)
    assert (identity.tenant, identity.scopes, key in printed.out) == ("acme", {"score", "uri"}, False)


def test_the_command_line_takes_its_token_from_the_environment(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ASSAY_TOKEN_FILE", str(tmp_path / "missing"))
    (photo := tmp_path / "photo.jpg").write_bytes(JPEG)
    assert main(["score", str(photo), "--server", "127.0.0.1:1"]) == 1
    assert "missing cannot be read" in capsys.readouterr().err


async def test_a_refused_call_is_made_again_when_the_server_says_and_not_earlier():
    class BusyOnce(Judging):
        refused_at = None

        async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
            if self.refused_at is None:
                self.refused_at = time.monotonic()
                busy = QuotaExceeded("a call a second")
                busy.retry_seconds = 0.7
                raise busy
            self.waited_seconds = time.monotonic() - self.refused_at
            async for response in super().StreamImage(requests, context):
                yield response

    service = BusyOnce()
    async with serving(service) as (_, address), AsyncClient(address) as client:
        await client.score(JPEG)
    assert service.waited_seconds >= 0.7


async def test_the_priority_of_a_client_is_in_its_config():
    class Configured(Judging):
        async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
            async for request in requests:
                self.priority_class = request.config.priority_class
                break
            await context.send_initial_metadata(())
            yield assay_pb2.StreamImageResponse(events=[started(), event_of(result())])

    service = Configured()
    async with serving(service) as (_, address), AsyncClient(address, priority="batch") as client:
        assert (await client.score(JPEG)).usage is None
    assert service.priority_class == assay_pb2.PRIORITY_CLASS_BATCH


@pytest.fixture
def finished(monkeypatch):
    """Spans of an application that uses OpenTelemetry."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    return exporter.get_finished_spans


async def test_a_call_is_a_span_of_its_application_and_the_server_hears_of_it(finished):
    class Traced(Judging):
        async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
            self.traceparent = dict(context.invocation_metadata())["traceparent"]
            async for response in super().StreamImage(requests, context):
                yield response

    service = Traced()
    async with serving(service) as (_, address), AsyncClient(address) as client:
        with opentelemetry.trace.get_tracer("application").start_as_current_span("upload"):
            await client.score(JPEG)
    call, application = finished()
    assert (call.name, call.kind, call.parent.span_id) == (
        "assay score",
        SpanKind.CLIENT,
        application.context.span_id,
    )
    assert service.traceparent.split("-")[2] == f"{call.context.span_id:016x}"


async def test_the_span_of_a_call_that_failed_says_why(finished):
    service = Judging()
    service.refusal = OverLimit("full")
    async with serving(service) as (_, address), AsyncClient(address) as client:
        with pytest.raises(OverLimit):
            await client.score(JPEG)
    (call,) = finished()
    assert (call.attributes["error.type"], call.status.is_ok) == ("OVER_LIMIT", False)


def test_the_span_of_an_application_goes_along():
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
    with use_span(span):
        along = dict(metadata(Credentials()))
    assert along["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"
    assert "traceparent" not in dict(metadata(Credentials()))
