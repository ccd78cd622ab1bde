"""Which frames of a video come back, and how much of it was decoded for them."""

import dataclasses

import numpy as np
import pytest

from tests.gateway.decode.upload import VIDEO, decode
from tests.media.film import film

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOP = 25
RATE = 12.5
FILM = film([40 + 5 * (i % 30) for i in range(375)], frames_per_second=RATE, key_frame_every=GOP)
"""30 s, a key frame every 2 s; frame i is of one grey level."""


def spec(**changes):
    return dataclasses.replace(VIDEO, **changes)


async def sampled(pool, data=FILM, **changes):
    return await decode(pool, data, spec(**changes))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.4, 1.0])
async def test_what_is_skipped_changes_no_frame(pool, rate):
    linear = await sampled(pool, key_frames="auto", key_frames_from_seconds=1e9, frames_per_second=rate)
    skipping = await sampled(pool, key_frames="exact", frames_per_second=rate)
    assert skipping.times == linear.times
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(skipping.frames, linear.frames, strict=True))


async def test_frames_that_no_other_needs_are_not_decoded_on_the_way(pool):
    """Half of x264's are such, and there is no key frame that could be gone to."""
    data = film([40 + 5 * (i % 30) for i in range(250)], frames_per_second=25, key_frame_every=250)
    linear = await sampled(pool, data, frames_per_second=2.0)
    skipping = await sampled(pool, data, frames_per_second=2.0, key_frames="exact")
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(skipping.frames, linear.frames, strict=True))
    assert (linear.summary.frames_decoded, linear.summary.frames_decoded > 1.4 * skipping.summary.frames_decoded) == (
        250,
        True,
    )
    assert skipping.summary.duration_seconds == linear.summary.duration_seconds


async def test_few_frames_are_decoded_for_a_sparse_sample(pool):
    summary = (await sampled(pool, key_frames="exact", frames_per_second=0.1)).summary
    assert (summary.frames_sampled, summary.frames_decoded < 60, summary.packets_skipped > 300) == (3, True, True)


async def test_the_duration_is_that_of_the_whole_whatever_is_skipped(pool):
    for key_frames in ("exact", "auto", "only"):
        summary = (await sampled(pool, key_frames=key_frames, frames_per_second=0.1)).summary
        assert summary.duration_seconds == pytest.approx(374 / RATE)


async def test_key_frames_alone_are_decoded_and_at_most_one_per_slot(pool):
    decoded = await sampled(pool, key_frames="only", frames_per_second=1.0)
    assert decoded.times == [2.0 * i for i in range(15)]
    assert decoded.summary.frames_decoded == 15


async def test_a_key_frame_in_the_first_half_of_a_slot_stands_for_it(pool):
    # Slots begin at 0, 3.333, 6.667 s; key frames are shown at 4 and 8 s.
    decoded = await sampled(pool, key_frames="auto", frames_per_second=0.3)
    assert decoded.times[:3] == [0.0, 4.0, 8.0]


async def test_where_no_key_frame_is_near_the_exact_frame_is_taken(pool):
    sparse = film([100] * 375, frames_per_second=RATE, key_frame_every=200)  # at 0 and 16 s
    decoded = await sampled(pool, sparse, key_frames="auto", frames_per_second=0.2)
    assert decoded.times == [0.0, 5.04, 10.0, 16.0, 20.0, 25.04]


async def test_with_short_slots_every_frame_is_decoded(pool):
    assert (await sampled(pool, frames_per_second=2.0)).summary.frames_decoded == 375


async def test_a_uniform_sample_spans_the_whole_video(pool):
    decoded = await sampled(pool, sampling="uniform", frame_count=5, key_frames="exact")
    assert np.abs(np.array(decoded.times) - np.linspace(0, 374 / RATE, 5)).max() < 374 / RATE / 4 / 2


async def test_a_uniform_sample_of_a_short_video_is_all_of_it(pool):
    decoded = await sampled(pool, film([10, 60, 110], frames_per_second=5), sampling="uniform", frame_count=8)
    assert decoded.times == [0.0, 0.2, 0.4]


async def test_nothing_between_two_windows_is_sampled(pool):
    decoded = await sampled(pool, frames_per_second=2.0, window_seconds=2.0, hop_seconds=10.0)
    assert decoded.times == [0.0, 0.56, 1.04, 1.52, 10.0, 10.56, 11.04, 11.52, 20.0, 20.56, 21.04, 21.52]


async def test_a_gap_between_two_windows_is_not_decoded(pool):
    summary = (
        await sampled(pool, frames_per_second=2.0, window_seconds=2.0, hop_seconds=10.0, key_frames="exact")
    ).summary
    assert summary.packets_skipped > 150


@pytest.mark.parametrize("container", ["mpegts", "matroska", "flv"])
async def test_frames_are_skipped_in_a_stream_too(pool, container):
    data = film([40 + i % 200 for i in range(250)], frames_per_second=25, key_frame_every=25, container=container)
    linear = await sampled(pool, data, key_frames_from_seconds=1e9, frames_per_second=0.3)
    skipping = await sampled(pool, data, key_frames="exact", frames_per_second=0.3)
    assert skipping.times == linear.times
    assert skipping.summary.packets_skipped > 100
