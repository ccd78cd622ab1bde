"""Whose a request is, and that its bytes come after the server's word."""

import asyncio

import grpc
import pytest

from assay.errors import OutOfTime, PermissionDenied
from assay.rpc.authentication import ApiKeys, Tokens
from assay.rpc.call import AWAITS_ADMISSION
from assay.rpc.errors import error_from
from assay.rpc.security import Security
from assay.v1 import assay_pb2, live_pb2
from gateway.__main__ import SCOPES
from tests.gateway.serving import gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator
from tests.tokens import API_KEY, write_api_keys

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHOWN = (("authorization", f"Bearer {API_KEY}"),)


@pytest.fixture
def security(tmp_path):
    return Security(tokens=Tokens([ApiKeys(write_api_keys(tmp_path))]), scopes=SCOPES)


def image(**config):
    return assay_pb2.ScoreImageRequest(
        image=media("jpeg.jpg").read_bytes(), config=assay_pb2.ScoreConfig(form=1, **config)
    )


async def test_the_tenant_of_a_request_is_that_of_its_credentials(pool, security):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, security=security) as client:
        await client.stub.ScoreImage(image(), metadata=SHOWN)
    assert {each.tenant for each in model.asked} == {"acme"}


async def test_another_tenant_cannot_be_named(pool, security):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, security=security) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.ScoreImage(image(tenant="other"), metadata=SHOWN)
    assert isinstance(error_from(refused.value), PermissionDenied)
    assert not model.asked


async def test_a_live_stream_needs_a_scope_of_its_own(pool, security):
    async with gateway(pool, security=security) as client:
        call = client.live.ScoreLive(metadata=SHOWN)
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_client_that_waits_hears_that_it_may_send_before_it_has_sent_a_byte(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as client:
        call = client.stub.StreamImage(metadata=[AWAITS_ADMISSION])
        await call.write(assay_pb2.StreamImageRequest(config=assay_pb2.ScoreConfig(form=1)))
        await call.initial_metadata()
        assert not call.done()
        await call.write(assay_pb2.StreamImageRequest(chunk=media("jpeg.jpg").read_bytes()))
        await call.done_writing()
        assert [event async for response in call for event in response.events][-1].HasField("result")


async def test_a_client_that_waits_is_refused_without_having_sent_a_byte(pool):
    async with gateway(pool, max_live_streams=0) as client:
        call = client.live.ScoreLive(metadata=[AWAITS_ADMISSION])
        await call.write(live_pb2.ScoreLiveRequest(config=live_pb2.LiveConfig()))
        await call.initial_metadata()
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_clients_request_id_is_in_the_answer_and_reaches_the_services(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as client:
        call = client.stub.StreamImage(
            iter(
                [
                    assay_pb2.StreamImageRequest(config=assay_pb2.ScoreConfig(form=1)),
                    assay_pb2.StreamImageRequest(chunk=media("jpeg.jpg").read_bytes()),
                ]
            ),
            metadata=[("x-request-id", "order-66.A_b")],
        )
        events = [event async for response in call for event in response.events]
    assert events[0].started.request_id == "order-66.A_b"


async def test_an_error_carries_the_request_id(pool):
    async with gateway(pool) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.ScoreImage(
                assay_pb2.ScoreImageRequest(image=b"no picture"), metadata=[("x-request-id", "r-1")]
            )
    assert error_from(refused.value).request_id == "r-1"


async def test_a_call_that_is_refused_for_its_metadata_has_its_request_id_too(pool):
    async with gateway(pool) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.ScoreImage(image(), metadata=[("x-request-id", "r-2"), ("x-more", "a" * 9000)])
    error = error_from(refused.value)
    assert (error.request_id, error.message.partition(",")[0]) == (
        "r-2",
        "the metadata of a call has at most 8192 bytes",
    )


async def test_a_result_says_what_it_has_cost(pool):
    model, data = ScriptedGenerator(), media("jpeg.jpg").read_bytes()
    async with gateway(pool, model, model) as client:
        request = assay_pb2.ScoreImageRequest(image=data, config=assay_pb2.ScoreConfig(form=2))
        usage = (await client.stub.ScoreImage(request)).result.usage
    assert (usage.received_bytes, usage.decoded_frames, usage.sampled_frames) == (len(data), 1, 1)
    # Three generations of 100 tokens read and 10 written: the direct score, the reasoning, the reasoned score.
    assert (usage.prompt_tokens, usage.answer_tokens) == (300, 30)
    assert usage.decoding.ToNanoseconds() > 0


async def test_the_class_of_a_request_goes_to_the_model(pool):
    model = ScriptedGenerator()
    batch = assay_pb2.ScoreConfig(form=2, priority_class="PRIORITY_CLASS_BATCH")
    async with gateway(pool, model, model) as client:
        request = assay_pb2.ScoreImageRequest(image=media("jpeg.jpg").read_bytes(), config=batch)
        # What a stranger says between the lines does not count.
        await client.stub.ScoreImage(request, metadata=[("assay-priority-class", "live")])
    assert set(model.priorities) == {"batch"}


async def test_less_time_than_an_answer_takes_is_refused_before_decoding(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, deadlines={"least_seconds": 100}) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.ScoreImage(image(), timeout=50)
    assert isinstance(error_from(refused.value), OutOfTime)
    assert not model.asked


async def test_a_request_ends_with_its_forms_deadline(pool):
    model = ScriptedGenerator(gate=asyncio.Event())
    async with gateway(pool, model, model, deadlines={"direct_seconds": 0.3}) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.ScoreImage(image())
    assert isinstance(error_from(refused.value), OutOfTime)


async def test_the_callers_deadline_goes_to_the_services(pool):
    model = ScriptedGenerator(gate=asyncio.Event())
    async with gateway(pool, model, model) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await client.stub.ScoreImage(image(), timeout=1)
        async with asyncio.timeout(10):
            while model.in_flight:  # noqa: ASYNC110 the last of several tells nobody
                await asyncio.sleep(0.01)
    assert model.abandoned
