"""assay/rpc/messages.py and what strangers send: every call ends with a reason, and none writes a stack trace."""

import gzip
import tracemalloc
import zlib

import grpc
import pytest
from grpc_health.v1 import health_pb2

from assay.errors import InvalidRequest, OverLimit
from assay.rpc.errors import DETAILS_KEY, error_from
from assay.rpc.messages import MAX_MESSAGE_BYTES, reader
from assay.rpc.serve import listening
from assay.v1 import assay_pb2, assay_pb2_grpc
from assay.v1.assay_pb2 import ScoreImageRequest

read = reader(ScoreImageRequest.FromString)
PICTURE = ScoreImageRequest(image=b"picture " * 100)
UNARY, STREAM = "/assay.v1.AssayService/ScoreImage", "/assay.v1.AssayService/StreamImage"
HEALTH, REFLECTION = "/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
NO_PROTOBUF = b"\xff\xff\xff"
TOO_LARGE = ScoreImageRequest(image=bytes(MAX_MESSAGE_BYTES)).SerializeToString()


class Counting(assay_pb2_grpc.AssayServiceServicer):
    """Answers with how many bytes came."""

    async def ScoreImage(self, request, context):  # noqa: N802 the name is the contract's
        return assay_pb2.ScoreImageResponse(result={"media": {"decoded_frames": len(request.image)}})

    async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
        async for _ in requests:
            yield assay_pb2.StreamImageResponse()


@pytest.fixture
async def connected():
    def add(server):
        assay_pb2_grpc.add_AssayServiceServicer_to_server(Counting(), server)

    unlimited = [("grpc.max_send_message_length", -1)]
    async with listening("127.0.0.1:0", add, []) as (_, address), grpc.aio.insecure_channel(address, unlimited) as to:
        yield to


async def status(call):
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    return ended.value


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress], ids=["identity", "gzip", "deflate"])
def test_a_message_is_read_however_it_was_packed(pack):
    assert read(pack(PICTURE.SerializeToString())) == PICTURE


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_message_that_was_cut_while_packed_is_none(pack):
    packed = pack(PICTURE.SerializeToString())
    assert isinstance(read(packed[: len(packed) // 2]).error, InvalidRequest)


def test_a_message_that_unpacks_to_sixteen_times_the_limit_costs_no_more_than_the_largest():
    bomb = zlib.compress(bytes(16 * MAX_MESSAGE_BYTES), level=1)
    tracemalloc.start()
    refused = read(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(refused.error, OverLimit)
    assert peak < 4 * MAX_MESSAGE_BYTES


@pytest.mark.parametrize("method", [UNARY, STREAM, HEALTH, REFLECTION])
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([NO_PROTOBUF], grpc.StatusCode.INVALID_ARGUMENT),
        ([TOO_LARGE], grpc.StatusCode.RESOURCE_EXHAUSTED),
        ([gzip.compress(TOO_LARGE)], grpc.StatusCode.RESOURCE_EXHAUSTED),
        ([b"\x1f\x8b cut"], grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["no protobuf", "too large", "too large, packed", "packed badly"],
)
async def test_what_is_no_message_ends_the_call_with_a_reason_and_without_a_trace(
    connected, caplog, method, sent, code
):
    ended = await status(connected.stream_unary(method)(iter(sent)))
    assert (ended.code(), DETAILS_KEY in ended.trailing_metadata()) == (code, True)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


@pytest.mark.parametrize("method", ["/assay.v1.AssayService/ScoreVideo", "/no.such.Service/Method", "/"])
async def test_a_method_that_is_not_there_is_named(connected, method):
    ended = await status(connected.unary_unary(method)(b"anything"))
    assert (ended.code(), method in ended.details()) == (grpc.StatusCode.UNIMPLEMENTED, True)
    assert DETAILS_KEY in ended.trailing_metadata()


async def test_a_call_that_ends_before_its_only_message_is_refused_at_once(connected):
    ended = await status(connected.stream_unary(UNARY)(iter([]), timeout=5))
    assert isinstance(error_from(ended), InvalidRequest)


async def test_a_client_may_compress(connected):
    call = connected.unary_unary(UNARY, ScoreImageRequest.SerializeToString, assay_pb2.ScoreImageResponse.FromString)
    response = await call(PICTURE, compression=grpc.Compression.Gzip)
    assert response.result.media.decoded_frames == len(PICTURE.image)


async def test_health_is_still_watched(connected):
    watch = connected.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    call = watch(health_pb2.HealthCheckRequest())
    assert (await call.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    call.cancel()
