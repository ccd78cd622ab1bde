"""Nobody waits for a stranger: clients that send slowly, or read nothing, through a gateway that serves."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from assay.errors import Busy
from assay.rpc.errors import error_from
from assay.v1 import assay_pb2, assay_pb2_grpc
from tests.gateway.serving import gateway
from tests.hostile.sandbox import processor_seconds
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHOTO, VIDEO = "jpeg.jpg", "mp4_faststart.mp4"
KINDS = {
    "image": (assay_pb2.StreamImageRequest, "StreamImage"),
    "video": (assay_pb2.StreamVideoRequest, "StreamVideo"),
}


def nothing_but_the_head(data):
    yield data[:20_000]


def byte_by_byte(data):
    yield data[:20_000]
    yield from (data[at : at + 1] for at in range(20_000, len(data)))


def no_half_close(data):
    yield data


@asynccontextmanager
async def strangers(address, kind, name, sends, count=50, every_seconds=0.2):
    """`count` uploads, each over a connection of its own, that send so and then no more than nothing."""
    part, method = KINDS[kind]
    data = media(name).read_bytes()

    async def upload():
        yield part(config=assay_pb2.ScoreConfig())
        for chunk in sends(data):
            yield part(chunk=chunk)
            await asyncio.sleep(every_seconds)
        await asyncio.sleep(3600)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(call(address, method, upload))
        await asyncio.sleep(0.5)
        tasks = set(group._tasks)
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()


async def call(address, method, upload):
    async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as connected:
        with suppress(grpc.aio.AioRpcError):
            async for _ in getattr(assay_pb2_grpc.AssayServiceStub(connected), method)(upload()):
                pass


async def seconds_of(ask):
    start = time.perf_counter()
    await ask()
    return time.perf_counter() - start


@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "name", "sends"),
    [
        ("image", PHOTO, nothing_but_the_head),
        ("video", VIDEO, byte_by_byte),
        ("video", "mpegts_small.ts", no_half_close),
    ],
)
async def test_fifty_slow_uploads_cost_an_honest_client_nothing(pool, kind, name, sends):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:

        async def honest():
            await caller.image(PHOTO)
            await caller.video(VIDEO)

        def spent():
            return sum(map(processor_seconds, pool.worker_pids))

        async def worker_seconds(work):
            before = spent()
            await work
            return spent() - before

        await honest()
        alone, alone_work = min([await seconds_of(honest) for _ in range(3)]), await worker_seconds(honest())
        pids = set(pool.worker_pids)
        async with strangers(caller.address, kind, name, sends):
            for _ in range(20):  # for some seconds what they have sent is judged, as anybody's would be
                if await seconds_of(honest) <= 1.3 * alone:
                    break
            together = min([await seconds_of(honest) for _ in range(3)])
            work = await worker_seconds(honest())
        assert together <= 1.3 * alone
        assert work < 1.3 * alone_work
        assert set(pool.worker_pids) == pids


def first_of(kind, *chunks):
    part, method = KINDS[kind]
    return method, [part(config=assay_pb2.ScoreConfig()), *(part(chunk=chunk) for chunk in chunks)]


@asynccontextmanager
async def unfinished(caller, *chunks):
    """A call that has sent so much, and is not half-closed."""
    method, parts = first_of("video", *chunks)
    call = getattr(caller.stub, method)()
    for part in parts:
        await call.write(part)
    try:
        yield call
    finally:
        call.cancel()


async def test_uploads_of_one_peer_that_are_unfinished_are_counted(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, max_unfinished_uploads_per_peer=2) as caller:
        async with unfinished(caller), unfinished(caller):
            await asyncio.sleep(0.1)
            call = caller.stub.StreamImage(iter(first_of("image", b"x")[1]))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
        error = error_from(refused.value)
        assert isinstance(error, Busy)
        assert "2 uploads of yours are unfinished" in error.message
        assert await caller.image(PHOTO)


async def test_one_place_is_enough_for_all_who_dribble_and_one_who_does_not(pool):
    model = ScriptedGenerator()
    head = media(VIDEO).read_bytes()[:20_000]
    async with (
        gateway(pool, model, model, max_in_flight=1) as caller,
        unfinished(caller, head),
        unfinished(caller, head),
        unfinished(caller, head),
    ):
        assert await caller.image(PHOTO)


async def test_an_upload_that_gave_its_place_away_still_gets_its_result(pool):
    model = ScriptedGenerator()
    data = media(VIDEO).read_bytes()
    async with gateway(pool, model, model, max_in_flight=1) as caller, unfinished(caller, data[:20_000]) as slow:
        await asyncio.sleep(0.2)
        assert await caller.image(PHOTO)
        await slow.write(assay_pb2.StreamVideoRequest(chunk=data[20_000:]))
        await slow.done_writing()
        happened = [event.WhichOneof("event") async for response in slow for event in response.events]
    assert happened[-1] == "result"
