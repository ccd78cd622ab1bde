from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decode.worker.packet_clock import WRAP_SECONDS, LiveTime


def shown(*seconds):
    time = LiveTime()
    return [None if at is None else round(at, 3) for at in map(time.feed, seconds)], time.jumps


def test_time_begins_at_zero_whatever_the_clock_says():
    assert shown(1000.0, 1000.5) == ([0.0, 0.5], 0)


def test_the_clock_of_mpeg_ts_may_wrap_for_ever():
    steps = [(9.9 * i) % WRAP_SECONDS for i in range(40_000)]  # 4.5 days
    time = LiveTime()
    reported = [time.feed(step) for step in steps]
    assert (reported[-1], time.jumps) == (pytest.approx(9.9 * 39_999), 0)


def test_a_wrap_that_somebody_has_undone_before_is_no_jump():
    assert shown(1.0, 1.5, 2.0 - WRAP_SECONDS, 2.5)[1] == 0


@pytest.mark.parametrize("there", [3600.0, 0.0, -50.0])
def test_a_jump_goes_on_at_the_usual_step_and_is_counted(there):
    assert shown(100.0, 100.5, there, there + 0.5) == ([0.0, 0.5, 1.0, 1.5], 1)


def test_a_frame_that_comes_a_little_late_is_left_out():
    assert shown(1.0, 1.5, 1.25, 2.0) == ([0.0, 0.5, None, 1.0], 0)


def test_a_pause_of_seconds_is_time_that_passes():
    assert shown(0.0, 0.5, 8.0) == ([0.0, 0.5, 8.0], 0)


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6), max_size=50))
def test_time_only_rises(seconds):
    time = LiveTime()
    reported = [at for at in map(time.feed, seconds) if at is not None]
    assert all(later > earlier for earlier, later in pairwise(reported))
