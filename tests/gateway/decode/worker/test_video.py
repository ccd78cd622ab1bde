import asyncio
import contextlib
import ctypes
import dataclasses

import numpy as np
import psutil
import pytest

from assay.errors import BadMedia, InvalidRequest, OverLimit
from assay.frame import Frame
from gateway.decode.spec import DecodeLimits, Shrink
from gateway.decode.worker.video import Heap
from tests.gateway.decode.upload import VIDEO, Decoded, decode, upload
from tests.media.build import _EVEN, _encode, large_video, level_at, media
from tests.media.cases import case

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTAINERS = [
    "mp4_faststart.mp4",
    "mp4_moov_at_end.mp4",
    "mp4_fragmented.mp4",
    "mp4_with_sound.mp4",
    "mov_with_sound.mov",
    "mkv.mkv",
    "webm.webm",
    "mp4_hevc.mp4",
    "mpegts.ts",
    "mpegts_with_sound.ts",
    "flv.flv",
    "flv_with_sound.flv",
]
STREAMABLE = [name for name in CONTAINERS if name not in ("mp4_moov_at_end.mp4", "mp4_hevc.mp4")]
HALF_SECONDS = [0.0, 0.52, 1.0, 1.52, 2.0, 2.52, 3.0, 3.52]


def limited(**limits):
    return dataclasses.replace(VIDEO, limits=DecodeLimits(**limits))


@pytest.mark.parametrize("name", CONTAINERS)
async def test_frames_are_sampled_by_their_own_time(pool, name):
    assert (await decode(pool, name, VIDEO)).times == HALF_SECONDS


@pytest.mark.parametrize("name", CONTAINERS)
async def test_a_frame_shows_what_was_to_be_shown_at_its_time(pool, name):
    decoded = await decode(pool, name, VIDEO)
    assert np.allclose(decoded.levels, [level_at(seconds) for seconds in decoded.times], atol=1.5)


async def test_a_variable_rate_is_sampled_over_time_and_a_frame_stands_until_the_next(pool):
    decoded = await decode(pool, "mp4_variable_rate.mp4", VIDEO)
    assert decoded.times == [0.0, 0.5, 1.0, 1.9, 2.0, 2.5, 3.0, 3.5]
    shown = [0.0, 0.5, 0.52, 1.9, 2.0, 2.03, 2.03, 3.5]
    assert np.allclose(decoded.levels, [level_at(seconds) for seconds in shown], atol=1.5)


async def test_a_still_and_its_twin_at_a_constant_rate_are_sampled_alike(pool):
    names = "mp4_vfr_20_s_still_then_2_s_bad.mp4", "mp4_the_same_at_a_constant_rate.mp4"
    still, constant = [await decode(pool, case(name), VIDEO) for name in names]
    assert still.times == constant.times
    # The noise of the last seconds is another one.
    pairs = zip(still.frames[:40], constant.frames[:40], strict=True)
    assert max(np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs) < 3.0


@pytest.mark.parametrize(("sampling", "rate"), [("uniform", 2.0), ("fps", 8.0)])
async def test_every_way_of_sampling_sees_a_still_for_as_long_as_it_stands(pool, sampling, rate):
    spec = dataclasses.replace(VIDEO, sampling=sampling, frame_count=9, frames_per_second=rate)
    times = (await decode(pool, case("mp4_vfr_20_s_still_then_2_s_bad.mp4"), spec)).times
    assert np.mean(np.array(times) < 20.0) == pytest.approx(20 / 22.5, abs=0.02)


async def test_avi_that_stores_frames_out_of_order_is_sampled_by_the_order_of_display(pool):
    data = _encode("avi", "libx264", _EVEN[:50], {"preset": "veryfast", "bf": "3", "g": "25"})
    decoded = await decode(pool, data, VIDEO)
    assert (decoded.times, decoded.summary.warnings) == (HALF_SECONDS[:4], ())
    assert np.allclose(decoded.levels, [level_at(seconds) for seconds in decoded.times], atol=1.5)


async def test_duration_is_the_time_of_the_last_frame(pool):
    summary = (await decode(pool, "mp4_variable_rate.mp4", VIDEO)).summary
    assert (round(summary.duration_seconds, 3), summary.frames_decoded, summary.frames_sampled) == (3.96, 12, 8)


@pytest.mark.parametrize("chunk_bytes", [997, 30_000, 3_000_000])
async def test_where_the_upload_is_cut_does_not_matter(pool, chunk_bytes):
    whole, cut = [await decode(pool, "mp4_faststart.mp4", VIDEO, size) for size in (65536, chunk_bytes)]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(whole.frames, cut.frames, strict=True))


@pytest.mark.parametrize("name", STREAMABLE)
async def test_frames_leave_while_bytes_still_arrive(pool, name):
    data = media(name).read_bytes()
    async with pool.open(VIDEO) as job:

        async def send_two_thirds():
            for start in range(0, len(data) * 2 // 3, 16384):
                await job.write(data[start : start + 16384])

        sending = asyncio.create_task(send_two_thirds())
        async with asyncio.timeout(20):
            frames = [event async for event in take(job, 3) if isinstance(event, Frame)]
        sending.cancel()
    assert [round(frame.pts_seconds, 2) for frame in frames] == [0.0, 0.52]


async def take(job, count):
    events = job.events()
    for _ in range(count):
        yield await anext(events)


@pytest.mark.parametrize(("name", "corner"), [("mp4_rotated_90.mp4", "top right"), ("mp4_mirrored.mp4", "top right")])
async def test_a_video_is_turned_as_it_is_displayed(pool, name, corner):
    assert (await decode(pool, name, VIDEO)).red_corner() == corner


async def test_the_size_of_a_turned_video_is_reported_as_displayed(pool):
    info = (await decode(pool, "mp4_rotated_90.mp4", VIDEO)).info
    assert (info.container, info.codec, info.width_px, info.height_px) == ("mp4", "h264", 240, 320)


async def test_pixels_that_are_not_square_are_made_square(pool):
    info = (await decode(pool, "mp4_wide_pixels.mp4", VIDEO)).info
    assert (info.width_px, info.height_px) == (640, 240)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("empty.bin", "the file is empty"),
        ("random_bytes.mp4", "no known kind"),
        ("html_renamed.mp4", "this is a web page"),
        ("playlist_renamed.mp4", "this is a playlist"),
        ("mp4_truncated_moov.mp4", "index of the MP4 is damaged or cut off"),
        ("mp4_without_moov.mp4", "has no index"),
        ("mp4_header_only.mp4", "cut off"),
        ("mp4_zero_frames.mp4", "no frame"),
        ("mp4_table_larger_than_file.mp4", "claims more than the file holds"),
        ("mp4_audio_only.mp4", "no video track"),
        ("wav_audio_only.wav", "a sound file"),
        ("mpegts_badly_damaged.ts", "frames are damaged"),
    ],
)
async def test_a_complaint_names_what_is_wrong(pool, name, complaint):
    with pytest.raises(BadMedia, match=complaint):
        await decode(pool, name, VIDEO)


async def test_a_picture_sent_as_a_video_is_pointed_to_the_right_call(pool):
    with pytest.raises(InvalidRequest, match="send it with the image call"):
        await decode(pool, "jpeg.jpg", VIDEO)


async def test_an_index_that_claims_millions_of_samples_is_refused(pool):
    with pytest.raises(OverLimit, match="80000000 samples, the limit is 2000000"):
        await decode(pool, "mp4_sample_bomb.mp4", VIDEO)


@pytest.mark.parametrize("name", ["mp4_truncated_media.mp4", "mkv_truncated.mkv"])
async def test_a_video_that_is_cut_off_is_scored_as_far_as_it_goes_and_says_so(pool, name):
    decoded = await decode(pool, name, VIDEO)
    assert (decoded.times, "cut off" in decoded.summary.warnings[0]) == (HALF_SECONDS[:4], True)


async def test_an_avi_that_is_cut_off_says_so(pool):
    data = media("avi_small.avi").read_bytes()
    parts = data, data[: data.index(b"idx1") - 100]
    whole, cut = [(await decode(pool, each, VIDEO)).summary.warnings for each in parts]
    assert (whole, "cut off" in " ".join(cut)) == ((), True)


async def test_damaged_frames_are_counted_and_not_sampled(pool):
    summary = (await decode(pool, "mpegts_slightly_damaged.ts", VIDEO)).summary
    assert summary.frames_corrupt > 0
    assert summary.frames_corrupt + summary.frames_decoded == 100


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"max_video_pixels": 50_000}, "0.1 million pixels"),
        ({"max_duration_seconds": 1.0}, "longer than the limit of 1 s"),
        ({"max_frames": 10}, "more than 10 frames"),
        ({"max_video_bytes": 100_000}, "100000 bytes"),
        ({"max_cpu_seconds": 0.001, "cpu_seconds_per_media_second": 0.0}, "processor time"),
        ({"max_wall_seconds": 0.001, "wall_seconds_per_media_second": 0.0}, "granted for this file"),
        ({"max_index_bytes": 100}, "index of the MP4 has"),
    ],
)
async def test_a_passed_limit_is_named(pool, limits, complaint):
    with pytest.raises(OverLimit, match=complaint):
        await decode(pool, "mp4_faststart.mp4", limited(**limits))


async def test_frames_that_were_decoded_do_not_pile_up(pool):
    # 50 frames of 3 MB; what FFmpeg holds for its references takes about 30 MB.
    spec = limited(max_memory_bytes=90 << 20, max_video_bytes=5 << 20)
    assert (await decode(pool, large_video(seconds=2, preset="ultrafast"), spec)).summary.frames_decoded == 50


async def test_frames_before_an_error_are_not_lost(pool):
    decoded = Decoded()
    async with pool.open(limited(max_duration_seconds=2.2)) as job, asyncio.TaskGroup() as group:
        group.create_task(upload(job, media("mp4_faststart.mp4").read_bytes(), 65536))
        with contextlib.suppress(OverLimit):
            async for event in job.events():
                decoded.take(event)
    assert decoded.times == HALF_SECONDS[:5]


async def test_a_frame_can_be_shrunk_before_it_is_resized(pool):
    shrunk = dataclasses.replace(VIDEO.target, shrink_first=Shrink(10_000, "nearest"))
    frames = (await decode(pool, "mp4_faststart.mp4", dataclasses.replace(VIDEO, target=shrunk))).frames
    assert {frame.pixels.shape[0] * frame.pixels.shape[1] for frame in frames} == {84 * 112}


async def test_a_turned_frame_is_shrunk_as_it_is_shown(pool):
    shrunk = dataclasses.replace(VIDEO.target, shrink_first=Shrink(10_000, "nearest"))
    decoded = await decode(pool, "mp4_rotated_90.mp4", dataclasses.replace(VIDEO, target=shrunk))
    assert decoded.frames[0].pixels.shape[:2] == (112, 84)


LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = LIBC.realloc.restype = ctypes.c_void_p
BLOCKS, BLOCK_BYTES = 1000, 64 * 1024


async def test_holes_between_blocks_that_are_in_use_go_back_to_the_kernel():
    blocks = [LIBC.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    # Made smaller where they are: behind each is a hole, and the heap cannot shrink from its end.
    held = [LIBC.realloc(ctypes.c_void_p(block), 64) for block in blocks]
    before = psutil.Process().memory_info().rss
    heap = Heap()
    for _ in range(256):
        heap.packet()
    freed = before - psutil.Process().memory_info().rss
    for block in held:
        LIBC.free(ctypes.c_void_p(block))
    assert freed > BLOCKS * BLOCK_BYTES / 2
