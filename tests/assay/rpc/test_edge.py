"""assay/rpc/edge.py: what happens to a call whose handler misbehaves."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from prometheus_client import REGISTRY

from assay.errors import AssayError, InvalidRequest, OverLimit
from assay.rpc.call import request_id
from assay.rpc.channel import channel
from assay.rpc.edge import CancellableReader
from assay.rpc.errors import error_from
from assay.rpc.logs import JsonLines
from assay.rpc.serve import listening
from assay.v1 import assay_pb2, assay_pb2_grpc

SECRET = "postgres://user:password@10.0.0.7 at 0x7f00dead"


class Misbehaving(assay_pb2_grpc.AssayServiceServicer):
    """Each method goes wrong in its own way."""

    def __init__(self):
        self.is_closed = asyncio.Event()

    async def ScoreImage(self, request, context):  # noqa: N802 the name is the contract's
        raise RuntimeError(SECRET)

    async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
        async for request in requests:
            request_id.set("r-77")
            if request.chunk == b"fail":
                raise RuntimeError(SECRET)
            yield assay_pb2.StreamImageResponse()

    async def StreamVideo(self, requests, context):  # noqa: N802 the name is the contract's
        try:
            while True:
                yield assay_pb2.StreamVideoResponse(events=[{"reasoning": {"text": "x" * 10_000}}])
        finally:
            self.is_closed.set()


@asynccontextmanager
async def misbehaving(service=None, **options):
    def add(server):
        assay_pb2_grpc.add_AssayServiceServicer_to_server(service or Misbehaving(), server)

    async with listening("127.0.0.1:0", add, [], **options) as (_, address), channel(address) as to:
        yield assay_pb2_grpc.AssayServiceStub(to)


async def failure(awaitable) -> AssayError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await awaitable
    return error_from(failed.value)


async def read_all(call, into=None):
    async for each in call:
        if into is not None:
            into.append(each)


def chunks(*pieces: bytes):
    return iter([assay_pb2.StreamImageRequest(chunk=piece) for piece in pieces])


async def test_an_unexpected_exception_tells_the_client_nothing_but_an_id(caplog):
    async with misbehaving() as stub:
        error = await failure(stub.ScoreImage(assay_pb2.ScoreImageRequest(image=b"x")))
    assert type(error) is AssayError
    assert "password" not in error.message


async def test_the_id_that_the_client_gets_is_in_the_log(caplog):
    async with misbehaving() as stub:
        error = await failure(stub.ScoreImage(assay_pb2.ScoreImageRequest(image=b"x")))
    logged = next(record for record in caplog.records if record.message == "unexpected error")
    assert logged.facts["error_id"] in error.message


async def test_a_message_that_breaks_a_rule_never_reaches_the_handler():
    async with misbehaving() as stub:
        error = await failure(stub.ScoreImage(assay_pb2.ScoreImageRequest()))
    assert (type(error), error.field) == (InvalidRequest, "image")


async def test_later_messages_of_a_stream_are_validated_too():
    async with misbehaving() as stub:
        error = await failure(read_all(stub.StreamImage(chunks(b"fine", b""))))
    assert (type(error), error.field) == (InvalidRequest, "chunk")


async def test_what_was_answered_before_a_failure_arrives():
    read = []
    async with misbehaving() as stub:
        await failure(read_all(stub.StreamImage(chunks(b"one", b"two", b"fail")), read))
    assert len(read) == 2


async def test_the_log_of_a_call_carries_its_request_id(caplog):
    caplog.set_level(logging.INFO)
    lines = []
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines("test"))
    handler.emit = lambda record: lines.append(json.loads(handler.format(record)))
    logging.getLogger("assay.rpc.edge").addHandler(handler)
    async with misbehaving() as stub:
        await read_all(stub.StreamImage(chunks(b"one")))
    logging.getLogger("assay.rpc.edge").removeHandler(handler)
    assert [(line["request_id"], line["reason"]) for line in lines] == [("r-77", "OK")]


class Hasty(assay_pb2_grpc.AssayServiceServicer):
    """Refuses an upload while its reader waits for the next piece, as the gateway does."""

    async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
        await anext(requests)
        reader = asyncio.create_task(anext(requests))
        await asyncio.sleep(0)
        reader.cancel()
        raise InvalidRequest("no picture")
        yield


async def test_a_refused_upload_is_read_to_its_end():
    # A client whose next write meets a call that has ended may get INTERNAL instead of why.
    sent_all = asyncio.Event()

    async def upload():
        for piece in (b"one", b"two"):
            yield assay_pb2.StreamImageRequest(chunk=piece)
            await asyncio.sleep(0.02)
        sent_all.set()

    async with misbehaving(Hasty()) as stub:
        await failure(read_all(stub.StreamImage(upload())))
    assert sent_all.is_set()


async def test_a_client_that_goes_away_closes_the_handler():
    service = Misbehaving()
    async with misbehaving(service) as stub:
        call = stub.StreamVideo(iter([]))
        await call.read()
        call.cancel()
        async with asyncio.timeout(5):
            await service.is_closed.wait()


async def test_a_client_that_reads_nothing_loses_its_call():
    service = Misbehaving()
    async with misbehaving(service, write_seconds=0.1) as stub:
        call = stub.StreamVideo(iter([]))
        await asyncio.wait_for(service.is_closed.wait(), 5)
        error = await failure(read_all(call))
    assert isinstance(error, OverLimit)


async def test_every_end_is_counted_under_its_reason():
    labels = {"method": "/assay.v1.AssayService/ScoreImage", "reason": "INVALID_REQUEST"}
    before = REGISTRY.get_sample_value("assay_calls_total", labels) or 0
    async with misbehaving() as stub:
        await failure(stub.ScoreImage(assay_pb2.ScoreImageRequest()))
        async with asyncio.timeout(5):  # it is counted once the client has its answer
            while REGISTRY.get_sample_value("assay_calls_total", labels) != before + 1:  # noqa: ASYNC110 nothing tells of it
                await asyncio.sleep(0.01)


async def test_a_call_that_nobody_offers_is_a_typed_error():
    def add(server):
        pass

    async with listening("127.0.0.1:0", add, []) as (_, address), channel(address) as to:
        error = await failure(assay_pb2_grpc.AssayServiceStub(to).ScoreImage(assay_pb2.ScoreImageRequest(image=b"x")))
    assert "another version" in error.message


class Wire(AsyncIterator):
    """Messages that somebody puts in; None ends them."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def __anext__(self):
        if (message := await self.queue.get()) is None:
            raise StopAsyncIteration
        return message


async def test_messages_come_in_order_to_their_end():
    wire = Wire()
    for message in ("one", "two", None):
        wire.queue.put_nowait(message)
    assert [message async for message in CancellableReader(wire)] == ["one", "two"]


async def test_the_next_reader_gets_what_a_cancelled_one_waited_for():
    wire = Wire()
    incoming = CancellableReader(wire)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(incoming), 0.01)
    wire.queue.put_nowait("one")
    assert await anext(incoming) == "one"


async def test_there_is_nothing_behind_the_end():
    wire = Wire()
    wire.queue.put_nowait(None)
    incoming = CancellableReader(wire)
    assert [await anext(incoming, "ended"), await anext(incoming, "ended")] == ["ended", "ended"]


async def test_what_nobody_will_read_is_not_waited_for():
    wire = Wire()
    incoming = CancellableReader(wire)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(incoming), 0.01)
    incoming.close()
    await asyncio.sleep(0)
    wire.queue.put_nowait("late")
    await asyncio.sleep(0.01)
    assert wire.queue.qsize() == 1
