"""Live streams over real sockets and the real decoder: one result per window, and an account of what was left out."""

import asyncio

import grpc
import numpy as np
import pytest

from assay.errors import BadMedia, Busy, InvalidRequest, QuotaExceeded, UploadStalled
from assay.rpc.errors import error_from
from assay.v1 import assay_pb2, live_pb2
from gateway.decode.jobs import DecodePool
from gateway.live import Cut, Waiting
from tests.gateway.decode.test_jobs import until
from tests.gateway.serving import gateway
from tests.media.live import live
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
Request = live_pb2.ScoreLiveRequest


def config(window=2.0, hop=0.0, lateness=live_pb2.LATENESS_WAIT, **judging):
    reported = live_pb2.LiveConfig(config=assay_pb2.ScoreConfig(**judging), lateness=lateness)
    reported.window.FromMilliseconds(round(window * 1000))
    if hop:
        reported.hop.FromMilliseconds(round(hop * 1000))
    return Request(config=reported)


def chunks(data, size=20_000):
    return [Request(chunk=data[start : start + size]) for start in range(0, len(data), size)]


async def reported(caller, requests):
    """All that a stream is reported. Raises the AssayError that the gateway meant."""
    call = caller.live.ScoreLive(iter(requests) if isinstance(requests, list) else requests)
    try:
        return [event async for response in call for event in response.events]
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed) from failed


def windows(responses):
    return [each.window for each in responses if each.HasField("window")]


def spans(responses):
    return [
        (each.window.start_offset.ToMilliseconds() / 1000, each.window.end_offset.ToMilliseconds() / 1000)
        for each in windows(responses)
    ]


def judging():
    return ScriptedGenerator(choices={"clarity": " very clear"})


async def lived(pool, *requests, **settings):
    model = judging()
    async with gateway(pool, model, model, **settings) as caller:
        return await reported(caller, list(requests))


async def test_a_stream_begins_with_started_and_ends_with_ended(pool):
    responses = await lived(pool, config(), *chunks(live(6.0)))
    happened = [each.WhichOneof("event") for each in responses]
    assert (happened[0], happened.count("window"), happened[-1]) == ("started", 3, "ended")
    assert [each.sequence for each in responses] == list(range(1, len(responses) + 1))


async def test_what_is_said_of_a_window_comes_while_it_is_written_and_before_its_result(pool):
    happened = [each.WhichOneof("event") for each in await lived(pool, config(), *chunks(live(2.0)))]
    before = happened[: happened.index("window")]
    assert {"early_score", "reasoning", "attribute"} <= set(before)


async def test_attributes_that_nobody_asked_for_are_not_reported_live(pool):
    responses = await lived(pool, config(attributes=["clarity"]), *chunks(live(2.0)))
    grades = [each.attribute.attribute.grade for each in responses if each.HasField("attribute")]
    assert grades == ["very clear"]


async def test_every_sampled_frame_of_a_live_stream_is_shown_small_where_that_is_asked_for(pool):
    responses = await lived(pool, config(thumbnails=assay_pb2.Thumbnails()), *chunks(live(4.0)))
    shown = [each.thumbnail for each in responses if each.HasField("thumbnail")]
    assert [each.frame_index for each in shown] == list(range(responses[-1].ended.media.sampled_frames))


async def test_a_live_stream_says_in_the_end_what_it_has_cost(pool):
    usage = (await lived(pool, config(), *chunks(live(4.0))))[-1].ended.usage
    # Two windows of three generations, each of 100 tokens read and 10 written.
    assert (usage.received_bytes, usage.prompt_tokens, usage.answer_tokens) == (len(live(4.0)), 600, 60)


async def test_a_live_stream_ends_with_the_window_that_goes_over_its_quota(pool):
    with pytest.raises(QuotaExceeded, match="400 tokens a minute") as refused:
        await lived(pool, config(), *chunks(live(8.0)), quotas={"tokens_per_minute": 400})
    assert refused.value.retry_seconds > 0


async def test_one_more_live_stream_than_a_tenant_may_have_is_refused(pool):
    model = judging()
    async with gateway(pool, model, model, quotas={"in_flight": 1}) as caller:
        first = caller.live.ScoreLive()
        await first.write(config())
        await first.initial_metadata()
        with pytest.raises(QuotaExceeded, match="1 requests at once"):
            await reported(caller, [config()])
        first.cancel()


async def test_windows_follow_one_another(pool):
    assert spans(await lived(pool, config(2.0), *chunks(live(6.0)))) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]


async def test_windows_may_overlap(pool):
    reported = spans(await lived(pool, config(2.0, hop=1.0), *chunks(live(4.0))))
    assert reported[:3] == [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0)]


async def test_a_fragmented_mp4_is_as_good_as_mpeg_ts(pool):
    assert len(windows(await lived(pool, config(), *chunks(live(6.0, container="mp4"))))) == 3


async def test_a_window_has_a_score_and_the_attributes_that_were_asked_for(pool):
    window = windows(await lived(pool, config(attributes=["clarity"]), *chunks(live(2.0))))[0].window
    assert window.score.value == pytest.approx((3.72 + 5.04) / 2)
    assert [each.grade for each in window.attributes] == ["very clear"]


async def test_a_window_is_reported_while_the_stream_goes_on(pool):
    model = judging()
    first = asyncio.Event()

    async def going_on():
        yield config()
        for request in chunks(live(6.0)):
            yield request
        await first.wait()

    async with gateway(pool, model, model) as caller, asyncio.timeout(20):
        happened = []
        async for response in caller.live.ScoreLive(going_on()):
            happened += [event.WhichOneof("event") for event in response.events]
            if "window" in happened:
                first.set()
    assert (happened[0], happened[-1]) == ("started", "ended")


async def test_a_stream_learns_that_the_server_stops(pool):
    model = judging()

    async def endless():
        yield config()
        for request in chunks(live(6.0)):
            yield request
        caller.stop_live()
        await asyncio.sleep(60)

    async with gateway(pool, model, model) as caller, asyncio.timeout(20):
        ended = (await reported(caller, endless()))[-1].ended
    assert (ended.server_stops, ended.judged_windows > 0) == (True, True)


async def test_when_the_model_is_slow_the_oldest_windows_are_left_out_and_counted(pool):
    gate = asyncio.Event()
    model = ScriptedGenerator(gate=gate)
    asyncio.get_running_loop().call_later(2.0, gate.set)
    async with gateway(pool, model, model, windows_at_once=1, max_waiting_windows=2) as caller:
        responses = await reported(caller, [config(1.0, lateness=live_pb2.LATENESS_DROP_OLDEST), *chunks(live(20.0))])
    judged, ended = windows(responses), responses[-1].ended
    assert ended.dropped_windows > 0
    assert len(judged) + ended.dropped_windows == 20
    assert sum(each.dropped_frames for each in judged) == 2 * ended.dropped_windows
    assert judged[-1].window.window_index == 19


async def test_a_client_that_wants_to_wait_gets_every_window(pool):
    gate = asyncio.Event()
    model = ScriptedGenerator(gate=gate)
    asyncio.get_running_loop().call_later(1.0, gate.set)
    async with gateway(pool, model, model, windows_at_once=1, max_waiting_windows=1) as caller:
        responses = await reported(caller, [config(1.0), *chunks(live(10.0))])
    assert [each.window.window_index for each in windows(responses)] == list(range(10))
    assert responses[-1].ended.dropped_windows == 0


async def test_waiting_reaches_the_client(pool):
    sent_bytes, stuffing = 0, (b"G\x1f\xff\x10" + bytes(184)) * 2_000
    model = ScriptedGenerator(gate=asyncio.Event())

    async def endless():
        nonlocal sent_bytes
        yield config(1.0)
        for request in chunks(live(120.0), 188 * 10):
            sent_bytes += len(stuffing)
            yield request
            yield Request(chunk=stuffing)

    async with gateway(pool, model, model) as caller:
        call = caller.live.ScoreLive(endless())
        assert (await call.read()).events[0].HasField("started")
        await asyncio.sleep(2.0)
        before_bytes = sent_bytes
        await asyncio.sleep(0.5)
        call.cancel()
    # What a model that stands still cannot take stays with the client; what was sent fits in the network's buffers.
    assert sent_bytes == before_bytes < 60 << 20


async def test_jumps_of_the_clock_are_reported_with_the_window(pool):
    responses = await lived(pool, config(), *chunks(live(4.0, 50.0) + live(4.0, 9000.0)))
    assert [each.clock_jumps for each in windows(responses)] == [0, 0, 1, 0]


def frames(*times, missing=0):
    pixels = np.full((64, 96, 3), 100, np.uint8).tobytes()
    for seconds in times:
        yield Request(frame=live_pb2.LiveFrame(pts_seconds=seconds, height_px=64, width_px=96))
        yield Request(pixels=pixels[:10_000])
        yield Request(pixels=pixels[10_000 : len(pixels) - missing])


async def test_frames_that_are_decoded_already_are_judged(pool):
    responses = await lived(pool, config(), *frames(*(i / 10 for i in range(40))))
    assert spans(responses) == [(0.0, 2.0), (2.0, 4.0)]
    assert responses[0].started.media.container == "frames"


async def test_a_frame_with_too_few_pixels_is_refused(pool):
    with pytest.raises(InvalidRequest, match="5 bytes of pixels were due"):
        await lived(pool, config(), *frames(0.0, 0.1, missing=5))


async def test_chunks_and_frames_do_not_mix(pool):
    with pytest.raises(InvalidRequest, match="only chunks"):
        await lived(pool, config(), *chunks(live(2.0)), *frames(0.0))


async def test_what_is_no_stream_is_refused_as_bad_media(pool):
    with pytest.raises(BadMedia):
        await lived(pool, config(), *chunks(b"no stream at all" * 1000))


@pytest.mark.parametrize("window", [0.1, 61.0])
async def test_a_window_of_no_sensible_length_is_refused(pool, window):
    with pytest.raises(InvalidRequest, match=r"config\.window"):
        await lived(pool, config(window), *chunks(live(2.0)))


async def test_a_silent_stream_is_ended(pool):
    async def silent():
        yield config()
        yield chunks(live(2.0))[0]
        await asyncio.sleep(5)

    async with gateway(pool, judging(), judging(), upload={"idle_seconds": 0.5}) as caller:
        with pytest.raises(UploadStalled, match=r"0\.5 s"):
            await reported(caller, silent())


async def test_live_streams_have_places_of_their_own(pool):
    async with gateway(pool, judging(), judging(), max_live_streams=0) as caller:
        with pytest.raises(Busy, match="GATEWAY_MAX_LIVE_STREAMS"):
            await reported(caller, [config(), *chunks(live(2.0))])
        assert await caller.image("jpeg.jpg")


async def test_two_streams_that_go_on_keep_no_picture_waiting(pool):
    async def going_on():
        yield config()
        for request in chunks(live(4.0)):
            yield request
        await asyncio.sleep(3600)

    model = judging()
    async with DecodePool(workers=1, spares=0, max_processes=3) as small, gateway(small, model, model) as caller:
        streams = [caller.live.ScoreLive(going_on()) for _ in range(2)]
        for stream in streams:
            while not (await stream.read()).events[0].HasField("started"):
                pass  # a heartbeat, where the machine has much else to do
        assert await caller.image("jpeg.jpg")
        for stream in streams:
            stream.cancel()
        await until(lambda: len(small._idle) == 3)


async def test_a_stream_that_dribbles_is_ended(pool):
    async def dribbling():
        yield config()
        for byte in live(2.0):
            yield Request(chunk=bytes([byte]))
            await asyncio.sleep(0.05)

    async with gateway(pool, judging(), judging(), upload={"grace_seconds": 0.3}) as caller:
        with pytest.raises(UploadStalled, match="less than 1024 bytes per second"):
            await reported(caller, dribbling())


async def test_a_window_that_is_left_out_hands_on_what_it_would_have_reported():
    waiting = Waiting(1, drops_oldest=True)
    clip = type("Clip", (), {"frames": (1, 2, 3)})()
    for index in range(3):
        await waiting.put(Cut(clip, index, 0.0, damaged_frames=1, clock_jumps=1))
    last = await waiting.get()
    assert (last.index, last.dropped_windows, last.dropped_frames) == (2, 2, 6)
    assert (last.damaged_frames, last.clock_jumps) == (3, 3)
