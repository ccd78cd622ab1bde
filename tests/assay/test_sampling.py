import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.frame import Frame
from assay.sampling import FixedRate, Windows, uniform

patient = settings(deadline=None)  # a busy machine stalls any test now and then
PIXELS = np.zeros((2, 2, 3), np.uint8)
TIMES = st.lists(st.integers(0, 60_000), min_size=1, max_size=200, unique=True).map(
    lambda milliseconds: [(ms - min(milliseconds)) / 1000 for ms in sorted(milliseconds)]
)
"""Rising times of a video of up to a minute with any rhythm, the first 0."""


def taken(times, frames_per_second):
    rate = FixedRate(frames_per_second)
    return [seconds for seconds in times if rate.feed(seconds)]


def clips_of(times, seconds=4.0, max_frames=1000):
    windows = Windows(seconds, max_frames)
    clips = [windows.feed(Frame(PIXELS, t)) for t in times] + [windows.finish()]
    return [[frame.pts_seconds for frame in clip.frames] for clip in clips if clip]


@patient
@given(TIMES, st.floats(0.1, 30))
def test_the_first_frame_is_always_taken(times, frames_per_second):
    assert taken(times, frames_per_second)[0] == 0.0


@patient
@given(TIMES, st.floats(0.1, 30))
def test_no_slot_gives_two_frames(times, frames_per_second):
    slots = [int(seconds * frames_per_second + 1e-6) for seconds in taken(times, frames_per_second)]
    assert len(slots) == len(set(slots))


@patient
@given(TIMES, st.floats(0.1, 30))
def test_every_slot_that_has_a_frame_gives_one(times, frames_per_second):
    slots = {int(seconds * frames_per_second + 1e-6) for seconds in times}
    assert len(taken(times, frames_per_second)) == len(slots)


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 24000 / 1001, 59.94, 120.0])
def test_an_hour_at_any_common_rate_gives_two_frames_per_second_without_drift(rate):
    times = taken([i / rate for i in range(int(3600 * rate))], 2.0)
    assert len(times) == 7200
    assert max(abs(seconds - i / 2) for i, seconds in enumerate(times)) < 1 / rate


def test_a_source_at_the_wanted_rate_loses_nothing():
    assert len(taken([i / 3 for i in range(1000)], 3.0)) == 1000


def test_time_that_goes_back_is_an_error():
    rate = FixedRate(2.0)
    rate.feed(1.0)
    with pytest.raises(ValueError, match="times must rise"):
        rate.feed(0.9)


@patient
@given(TIMES, st.integers(1, 40))
def test_uniform_gives_as_many_different_frames_as_asked_or_as_there_are(times, num_frames):
    picked = uniform(times, num_frames)
    assert len(picked) == min(num_frames, len(times))
    assert picked == sorted(set(picked))


@patient
@given(TIMES, st.integers(2, 40))
def test_uniform_spans_the_whole_video(times, num_frames):
    picked = uniform(times, num_frames)
    assert (picked[0], picked[-1]) == (0, len(times) - 1)


@patient
@given(st.integers(2, 300), st.integers(2, 20))
def test_uniform_is_nearest_where_there_is_a_choice(num_times, num_frames):
    times = [float(i) for i in range(num_times * num_frames)]
    wanted = np.linspace(0, times[-1], num_frames)
    assert np.abs(np.array(uniform(times, num_frames)) - wanted).max() < 0.5 + 1e-9


def test_uniform_takes_a_single_frame_from_the_middle():
    assert uniform([0.0, 4.0, 5.1, 10.0], 1) == [2]


@patient
@given(TIMES, st.floats(0.5, 20))
def test_every_frame_lands_in_exactly_one_clip_in_order(times, seconds):
    assert [t for clip in clips_of(times, seconds) for t in clip] == times


@patient
@given(TIMES, st.floats(0.5, 20), st.integers(1, 20))
def test_no_clip_has_more_frames_than_allowed(times, seconds, max_frames):
    assert all(len(clip) <= max_frames for clip in clips_of(times, seconds, max_frames))


@patient
@given(TIMES, st.floats(0.5, 20))
def test_no_clip_is_longer_than_two_windows(times, seconds):
    assert all(clip[-1] - clip[0] < 2 * seconds for clip in clips_of(times, seconds))


@patient
@given(TIMES, st.floats(0.5, 20))
def test_at_most_one_clip_is_left_at_the_end(times, seconds):
    windows = Windows(seconds, 100)
    for t in times:
        windows.feed(Frame(PIXELS, t))
    windows.finish()
    assert windows.finish() is None


def test_a_short_rest_joins_the_window_before():
    times = [i / 2 for i in range(17)]  # 0.0 to 8.0 s: two windows of eight and one frame
    assert [len(clip) for clip in clips_of(times)] == [8, 9]


def test_a_rest_of_a_quarter_stands_alone():
    times = [i / 2 for i in range(18)]
    assert [len(clip) for clip in clips_of(times)] == [8, 8, 2]


def test_a_short_rest_behind_a_gap_stands_alone():
    assert [len(clip) for clip in clips_of([0.0, 0.5, 1.0, 1.5, 2.0, 30.0])] == [5, 1]


def test_a_clip_comes_before_the_stream_ends():
    windows = Windows(seconds=2.0, max_frames=16)
    came = [windows.feed(Frame(PIXELS, i / 2)) is not None for i in range(6)]
    assert came == [False, False, False, False, True, False]


def test_one_frame_per_window_is_one_clip_per_window():
    assert [len(clip) for clip in clips_of([0.0, 1.0, 2.0, 3.0], seconds=1.0)] == [1, 1, 1, 1]


def test_frames_left_out_are_left_out_evenly():
    assert clips_of([i / 10 for i in range(39)], max_frames=3) == [[0.0, 1.9, 3.8]]
