import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sampling import FixedRate, Spread, uniform

patient = settings(deadline=None)  # a busy machine stalls any test now and then
TIMES = st.lists(st.integers(0, 60_000), min_size=1, max_size=200, unique=True).map(
    lambda milliseconds: [(ms - min(milliseconds)) / 1000 for ms in sorted(milliseconds)]
)
"""Rising times of a video of up to a minute with any rhythm, the first 0."""


def taken(times, frames_per_second):
    rate = FixedRate(frames_per_second)
    return [seconds for seconds in times if rate.feed(seconds)]


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
@given(TIMES, st.floats(0.1, 30))
def test_nothing_is_taken_before_the_next_wanted_time(times, frames_per_second):
    rate = FixedRate(frames_per_second)
    for seconds in times:
        wanted = rate.next_seconds
        assert rate.feed(seconds) == (seconds >= wanted)


@patient
@given(TIMES, st.integers(1, 16))
def test_a_spread_keeps_little_and_gives_what_was_wanted(times, num_frames):
    spread = Spread(num_frames)
    for seconds in times:
        if spread.feed(seconds):
            spread.put(seconds)
        assert len(spread._chosen) <= 4 * num_frames
    picked = [item for _, item in spread.finish()]
    assert picked == sorted(set(picked))
    assert len(picked) <= num_frames


def test_a_spread_over_an_hour_is_even_to_half_a_distance():
    spread = Spread(10)
    for i in range(36_000):
        if spread.feed(i / 10):
            spread.put(i)
    picked = [seconds for seconds, _ in spread.finish()]
    assert max(abs(seconds - i * 400) for i, seconds in enumerate(picked)) < 200


def test_frames_between_windows_are_not_taken():
    rate = FixedRate(1.0, window_seconds=2.0, hop_seconds=5.0)
    assert [t for t in range(12) if rate.feed(float(t))] == [0, 1, 5, 6, 10, 11]


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
