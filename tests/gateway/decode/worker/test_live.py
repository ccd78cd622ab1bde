"""Live streams through the real decode worker: clocks that jump, budgets that begin anew, memory that stays."""

import asyncio
import dataclasses

import numpy as np
import pytest

from assay.errors import BadMedia, InvalidRequest, OverLimit
from assay.frame import Frame
from gateway.decode.spec import RAW_FRAME, DecodeLimits, DecodeSource, Lost
from gateway.decode.worker.packet_clock import WRAP_SECONDS
from tests.gateway.decode.upload import VIDEO, decode, upload
from tests.media.build import media
from tests.media.live import live
from tests.media.live_memory import resident_bytes

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = dataclasses.replace(VIDEO, source=DecodeSource.STREAM)
FRAMES = dataclasses.replace(VIDEO, source=DecodeSource.FRAMES)


async def lived(pool, data, spec=STREAM, **limits):
    """Times of the frames, and all that was lost."""
    spec = dataclasses.replace(spec, limits=DecodeLimits(**limits))
    times, lost = [], Lost()
    async with pool.open(spec) as job:
        sending = asyncio.create_task(upload(job, data, 65536))
        async for event in job.events():
            if isinstance(event, Frame):
                times.append(round(event.pts_seconds, 2))
            if isinstance(event, Lost):
                lost += event
        await sending
    return times, lost


def halves(seconds):
    return [i / 2 for i in range(int(2 * seconds))]


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
async def test_a_live_stream_is_sampled_by_its_own_time(pool, container):
    assert await lived(pool, live(4.0, container=container)) == (halves(4), Lost())


async def test_a_clock_that_wraps_goes_on(pool):
    assert await lived(pool, live(4.0, WRAP_SECONDS - 2.05)) == (halves(4), Lost())


async def test_a_clock_that_wraps_again_after_a_day_goes_on(pool):
    # Four parts of a stream of two days, the first and the last across a wrap; what lies between them is left out.
    data = b"".join(live(4.0, start) for start in (WRAP_SECONDS - 2.05, 30_000.0, 60_000.0, WRAP_SECONDS - 2.05))
    assert await lived(pool, data) == (halves(16), Lost(0, 3))


@pytest.mark.parametrize("second", [0.0, 5000.0])
async def test_an_encoder_that_starts_again_is_a_jump_and_no_end(pool, second):
    assert await lived(pool, live(4.0, 100.0) + live(4.0, second)) == (halves(8), Lost(0, 1))


async def test_damage_is_counted_and_the_stream_goes_on(pool):
    times, lost = await lived(pool, media("mpegts_slightly_damaged.ts").read_bytes() + live(4.0))
    assert lost.damaged_frames > 0
    assert len(times) == 16


async def test_budgets_begin_anew_with_every_stretch(pool):
    # 200 frames of 20 s; a file may have 120, and a stretch of 10 s has 100.
    assert len((await lived(pool, live(20.0), max_frames=120, max_duration_seconds=15.0))[0]) == 40
    with pytest.raises(OverLimit, match="more than 120 frames"):
        await decode(pool, live(20.0), dataclasses.replace(VIDEO, limits=DecodeLimits(max_frames=120)))


async def test_a_stretch_that_spends_more_than_its_budget_is_ended(pool):
    with pytest.raises(OverLimit, match="more than 50 frames"):
        await lived(pool, live(20.0), max_frames=50)


async def test_a_stream_may_be_larger_than_any_file(pool):
    data = live(20.0)
    assert len((await lived(pool, data, max_video_bytes=len(data) // 4))[0]) == 40


async def test_a_live_mp4_without_fragments_learns_what_to_send(pool):
    with pytest.raises(BadMedia, match="fragments"):
        await lived(pool, b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\0\1\0\0mdat" + bytes(70_000))


def raw(*times, height=48, width=96, level=100):
    pixels = np.full((height, width, 3), level, np.uint8).tobytes()
    return b"".join(RAW_FRAME.pack(seconds, height, width) + pixels for seconds in times)


async def test_frames_that_are_decoded_already_are_sampled_and_resized(pool):
    decoded = await decode(pool, raw(*(i / 10 for i in range(20))), FRAMES)
    assert decoded.times == halves(2)
    assert {frame.pixels.shape for frame in decoded.frames} == {(56, 84, 3)}
    assert int(decoded.frames[0].pixels.mean()) == 100


async def test_frames_that_change_their_size_stay_in_one_size(pool):
    decoded = await decode(pool, raw(0.0, 0.5) + raw(1.0, 1.5, height=96, width=64), FRAMES)
    assert {frame.pixels.shape for frame in decoded.frames} == {(56, 84, 3)}


async def test_a_frame_that_is_cut_off_is_refused(pool):
    with pytest.raises(InvalidRequest, match="middle of a frame"):
        await decode(pool, raw(0.0, 0.5)[:-1], FRAMES)


async def test_a_frame_that_is_too_large_is_refused_before_its_pixels_come(pool):
    with pytest.raises(OverLimit, match=r"67\.1 million pixels"):
        await decode(pool, RAW_FRAME.pack(0.0, 8192, 8192), FRAMES)


@pytest.mark.slow
@pytest.mark.parametrize("container", ["mpegts", "mp4"])
async def test_a_long_stream_takes_no_more_memory_than_a_short_one(pool, container):
    resident = await resident_bytes(pool, minutes=5, every_minutes=1, container=container)
    assert max(resident) - resident[0] < 3 << 20
