import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.frame import Frame
from gateway.windows import Runs, Windows

patient = settings(deadline=None)  # a busy machine stalls any test now and then
PIXELS = np.zeros((2, 2, 3), np.uint8)
TIMES = st.lists(st.integers(0, 60_000), min_size=1, max_size=200, unique=True).map(
    lambda milliseconds: [(ms - min(milliseconds)) / 1000 for ms in sorted(milliseconds)]
)
"""Rising times of a video of up to a minute with any rhythm, the first 0."""


def clips_of(times, seconds=4.0, max_frames=1000, **options):
    windows = Windows(seconds, max_frames, **options)
    clips = [clip for t in times for clip in windows.feed(Frame(PIXELS, t))] + windows.finish()
    return [[frame.pts_seconds for frame in clip.frames] for clip in clips]


def spans_of(times, seconds=4.0, end_seconds=None):
    windows = Windows(seconds, 1000)
    clips = [clip for t in times for clip in windows.feed(Frame(PIXELS, t))] + windows.finish(end_seconds)
    return [(clip.start_seconds, clip.end_seconds) for clip in clips]


@patient
@given(TIMES, st.floats(0.5, 20))
def test_every_frame_lands_in_exactly_one_clip_in_order(times, seconds):
    assert [t for clip in clips_of(times, seconds) for t in clip if t in times] == times


@patient
@given(TIMES, st.floats(0.5, 20))
def test_a_window_ends_where_the_next_begins(times, seconds):
    clips = spans_of(times, seconds, end_seconds=times[-1] + 0.04)
    assert clips[0][0] == 0.0
    assert clips[-1][1] == pytest.approx(times[-1] + 0.04)
    assert all(end == pytest.approx(start) for (_, end), (start, _) in pairwise(clips))


def test_windows_in_which_one_frame_stands_exist():
    assert clips_of([0.0, 9.0]) == [[0.0], [4.0], [9.0]]
    assert spans_of([0.0, 9.0], end_seconds=10.0) == [(0.0, 4.0), (4.0, 8.0), (8.0, 10.0)]


def test_a_last_frame_stands_to_the_end():
    assert spans_of([0.0, 1.0], end_seconds=14.0) == [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 14.0)]
    assert spans_of([0.0, 1.0], end_seconds=8.5) == [(0.0, 4.0), (4.0, 8.5)]


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
    assert windows.finish() == []


def test_a_short_rest_joins_the_window_before():
    times = [i / 2 for i in range(17)]  # 0.0 to 8.0 s: two windows of eight and one frame
    assert [len(clip) for clip in clips_of(times)] == [8, 9]


def test_a_rest_of_a_quarter_stands_alone():
    times = [i / 2 for i in range(18)]
    assert [len(clip) for clip in clips_of(times)] == [8, 8, 2]


def test_a_short_rest_behind_a_gap_stands_alone():
    assert [len(clip) for clip in clips_of([0.0, 0.5, 1.0, 1.5, 2.0, 30.0])] == [5, *[1] * 6, 1]


def test_a_clip_comes_before_the_stream_ends():
    windows = Windows(length_seconds=2.0, max_frames=16)
    came = [len(windows.feed(Frame(PIXELS, i / 2))) for i in range(6)]
    assert came == [0, 0, 0, 0, 1, 0]


def test_one_frame_per_window_is_one_clip_per_window():
    assert [len(clip) for clip in clips_of([0.0, 1.0, 2.0, 3.0], seconds=1.0)] == [1, 1, 1, 1]


def test_frames_left_out_are_left_out_evenly():
    assert clips_of([i / 10 for i in range(39)], max_frames=3) == [[0.0, 1.9, 3.8]]


def test_half_a_hop_shows_every_frame_twice():
    assert clips_of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], hop_seconds=2.0) == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_a_rest_with_enough_new_frames_overlaps_the_window_before():
    assert clips_of([0.0, 1.0, 2.0, 3.0, 4.0], hop_seconds=2.0) == [[0, 1, 2, 3], [2, 3, 4]]


def test_a_short_rest_joins_an_overlapping_window_too():
    times = [i / 4 for i in range(17)]  # 0.0 to 4.0 s: one new frame, a hop has eight
    assert [clip[-1] for clip in clips_of(times, hop_seconds=2.0)] == [4.0]


@patient
@given(TIMES, st.floats(0.5, 20), st.floats(0.1, 1.0))
def test_windows_that_overlap_leave_out_no_frame(times, seconds, part):
    clips = clips_of(times, seconds, hop_seconds=seconds * part)
    assert sorted({t for clip in clips for t in clip if t in times}) == times


@patient
@given(TIMES, st.floats(0.5, 20), st.floats(0.1, 1.0))
def test_every_window_shows_something_new(times, seconds, part):
    ends = [clip[-1] for clip in clips_of(times, seconds, hop_seconds=seconds * part)]
    assert ends == sorted(set(ends))


@patient
@given(TIMES, st.floats(0.5, 5), st.floats(1.01, 5.0))
def test_a_hop_longer_than_a_window_leaves_gaps(times, seconds, factor):
    hop = seconds * factor
    for clip in clips_of(times, seconds, hop_seconds=hop):
        start = math.floor(clip[0] / hop + 1e-5) * hop
        assert clip[-1] <= start + seconds


def test_frames_in_a_gap_belong_to_no_clip():
    assert clips_of([float(i) for i in range(12)], seconds=2.0, hop_seconds=5.0) == [[0, 1], [5, 6], [10, 11]]


def test_without_joining_a_clip_comes_with_the_first_frame_behind_it():
    windows = Windows(length_seconds=2.0, max_frames=16, hop_seconds=1.0, joins_rest=False)
    came = [len(windows.feed(Frame(PIXELS, float(i)))) for i in range(5)]
    assert came == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("hop_seconds", [0.5, 4.0])
def test_a_gap_of_years_costs_no_time(hop_seconds):
    assert len(clips_of([0.0, 1.0, 2e9], hop_seconds=hop_seconds)) == 2


@pytest.mark.parametrize("hop_seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_hop_is_refused(hop_seconds):
    with pytest.raises(ValueError, match="hop_seconds"):
        Windows(4.0, 8, hop_seconds=hop_seconds)


def test_where_a_scene_begins_so_does_a_window():
    windows = Windows(4.0, 100)
    frames = [Frame(PIXELS, float(i), begins_scene=i in (3, 9)) for i in range(14)]
    clips = [clip for frame in frames for clip in windows.feed(frame)] + windows.finish()
    assert [[frame.pts_seconds for frame in clip.frames] for clip in clips] == [
        [0, 1, 2],
        [3, 4, 5, 6],
        [7, 8],
        [9, 10, 11, 12],
        [13],
    ]


@given(st.integers(1, 64), st.integers(1, 16))
def test_runs_are_as_equal_as_can_be(num_frames, max_frames):
    runs = Runs(num_frames, max_frames)
    clips = [clip for i in range(num_frames) for clip in runs.feed(Frame(PIXELS, float(i)))] + runs.finish()
    sizes = [len(clip.frames) for clip in clips]
    assert (sum(sizes), max(sizes) <= max_frames) == (num_frames, True)
    assert len(sizes) == -(-num_frames // max_frames)
