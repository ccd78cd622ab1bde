import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.spread import uniform

patient = settings(deadline=None)  # a busy machine stalls any test now and then
TIMES = st.lists(st.integers(0, 60_000), min_size=1, max_size=200, unique=True).map(
    lambda milliseconds: [(ms - min(milliseconds)) / 1000 for ms in sorted(milliseconds)]
)
"""Rising times of a video of up to a minute with any rhythm, the first 0."""


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
