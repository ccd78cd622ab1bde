"""What a client hears whose call cannot be answered: the same sentence over gRPC and over HTTP, with its status."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import httpx2
import pytest

from assay.rpc.authentication import ApiKeys, Jwts, Tokens
from assay.rpc.errors import error_from
from assay.rpc.security import Security
from assay.v1 import assay_pb2
from gateway.__main__ import SCOPES
from gateway.http.server import serving_http
from tests.gateway.serving import gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator
from tests.tokens import API_KEY, AUDIENCE, ISSUER, Issuer, write_api_keys

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHOTO = media("jpeg.jpg").read_bytes()
NOT_VALID = "this server accepts no call without valid credentials"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@asynccontextmanager
async def faces(pool, issuer, model=None, **settings):
    """Over gRPC and over HTTP: asks for the score of a photo, and gives the status and the sentence that come back."""
    keys = write_api_keys(issuer.jwks.parent)
    security = Security(tokens=Tokens([Jwts(issuer.jwks, ISSUER, AUDIENCE, "tenant"), ApiKeys(keys)]), scopes=SCOPES)
    model = model or ScriptedGenerator()
    async with AsyncExitStack() as stack:
        served = gateway(pool, model, model, security=security, http_address="127.0.0.1:0", **settings)
        caller = await stack.enter_async_context(served)
        address = await stack.enter_async_context(serving_http(*caller.program, security))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://{address}", timeout=30))

        async def over_grpc(headers, tenant=""):
            request = assay_pb2.ScoreImageRequest(image=PHOTO, config=assay_pb2.ScoreConfig(form=1, tenant=tenant))
            try:
                await caller.stub.ScoreImage(request, metadata=tuple(headers.items()))
            except grpc.aio.AioRpcError as refused:
                error = error_from(refused)
                return refused.code().name, error.message, getattr(error, "retry_seconds", 0.0) > 0
            return "OK", "", False

        async def over_http(headers, tenant=""):
            query = {"form": "direct"} | ({"tenant": tenant} if tenant else {})
            answer = await client.post("/v1/images:score", params=query, content=PHOTO, headers=headers)
            sentence = "" if answer.status_code == 200 else answer.json()["detail"]
            return answer.status_code, sentence, "retry-after" in answer.headers

        yield {"grpc": over_grpc, "http": over_http, "address": address}


def now():
    return int(time.time())


CASES = {
    "no token": (lambda issuer: {}, "", ("UNAUTHENTICATED", 401), NOT_VALID),
    "expired by more than the clocks may differ": (
        lambda issuer: bearer(issuer.token(exp=now() - 90)),
        "",
        ("UNAUTHENTICATED", 401),
        NOT_VALID,
    ),
    "expired by less": (lambda issuer: bearer(issuer.token(exp=now() - 40)), "", ("OK", 200), ""),
    "wrong algorithm": (
        lambda issuer: bearer(issuer.bad_tokens()["public key as secret"]),
        "",
        ("UNAUTHENTICATED", 401),
        NOT_VALID,
    ),
    "missing scope": (
        lambda issuer: bearer(issuer.token(scope="live")),
        "",
        ("PERMISSION_DENIED", 403),
        "these credentials lack the scope 'score'",
    ),
    "another tenant": (
        lambda issuer: bearer(API_KEY),
        "other",
        ("PERMISSION_DENIED", 403),
        "these credentials belong to another tenant",
    ),
    "metadata over 8 kB": (
        lambda issuer: bearer(API_KEY) | {"x-more": "a" * 8200},
        "",
        ("INVALID_ARGUMENT", 400),
        "the metadata of a call has at most 8192 bytes",
    ),
}


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("face", "status"), [("grpc", 0), ("http", 1)])
async def test_who_may_not_call_hears_why_and_no_more(pool, issuer, face, status):
    async with faces(pool, issuer) as asked:
        found = {name: (await asked[face](shown(issuer), tenant))[:2] for name, (shown, tenant, *_) in CASES.items()}
    expected = {name: (statuses[status], sentence) for name, (*_, statuses, sentence) in CASES.items()}
    assert {name: (code, sentence[: len(expected[name][1])]) for name, (code, sentence) in found.items()} == expected


@pytest.mark.parametrize(("face", "status"), [("grpc", "RESOURCE_EXHAUSTED"), ("http", 429)])
async def test_a_used_up_quota_says_which_and_when_to_come_again(pool, issuer, face, status):
    async with faces(pool, issuer, quotas={"bytes_per_minute": 1}) as asked:
        assert (await asked[face](bearer(API_KEY)))[0] in ("OK", 200)
        code, sentence, has_delay = await asked[face](bearer(API_KEY))
    assert (code, sentence.partition(";")[0], has_delay) == (status, "this tenant may use 1 bytes a minute", True)


@pytest.mark.parametrize(("face", "status"), [("grpc", "RESOURCE_EXHAUSTED"), ("http", 503)])
async def test_a_full_queue_says_when_to_come_again(pool, issuer, face, status):
    class Waiting(ScriptedGenerator):
        async def generate(self, clip, conversation, form):
            begun.set()
            await may_end.wait()
            async for event in super().generate(clip, conversation, form):
                yield event

    begun, may_end = asyncio.Event(), asyncio.Event()
    async with faces(pool, issuer, Waiting(), max_in_flight=1, max_queued=0) as asked:
        first = asyncio.create_task(asked[face](bearer(API_KEY)))
        await begun.wait()
        code, sentence, has_delay = await asked[face](bearer(API_KEY))
        may_end.set()
        assert (await first)[0] in ("OK", 200)
    assert (code, sentence.partition(";")[0], has_delay) == (
        status,
        "the server is at its limit of 1 requests",
        True,
    )


async def test_a_request_id_with_a_control_character_is_refused_over_http(pool, issuer):
    async with faces(pool, issuer) as asked:
        answer = await sent_as_it_is(asked, "GET /v1/models", "x-request-id: a\x01b")
    assert answer.startswith("HTTP/1.1 400")


async def test_a_line_break_in_a_request_id_reaches_no_log_line(pool, issuer, caplog):
    """HTTP allows it, and makes it a blank; so the id is not one, and the gateway makes its own."""
    async with faces(pool, issuer) as asked:
        await sent_as_it_is(asked, "GET /v1/models", "x-request-id: broken\r\n line")
    assert "broken" not in caplog.text


async def sent_as_it_is(asked, target, header):
    """The answer to a request that no HTTP client would send."""
    host, port = asked["address"].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{target} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\nauthorization: Bearer {API_KEY}"
    writer.write(f"{head}\r\n{header}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_a_stalled_upload_over_http_is_described_in_words_of_everybody(pool, issuer):
    async with faces(pool, issuer, upload={"idle_seconds": 0.05}) as asked:
        answer = await sent_as_it_is(asked, "POST /v1/images:score?form=direct", f"content-length: {len(PHOTO)}")
    assert answer.startswith("HTTP/1.1 408")
    assert "nothing came for 0.05 s; send the" in answer
    assert "half-close" not in answer
