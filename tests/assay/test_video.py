"""How a video shall be inspected: ranges, contradictions, and the same over the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InvalidRequest
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions
from assay.wire import video_options_from_wire, video_options_to_wire

DEFAULTS = VideoOptions(
    sampling="fps", frame_count=16, key_frames="auto", keep_repeats=False, pooling="mean", percentile=10, worst_count=3
)
OPTIONS = st.builds(
    VideoOptions,
    sampling=st.sampled_from([None, *Sampling]),
    frames_per_second=st.none() | st.floats(0.001, 60),
    frame_count=st.none() | st.integers(1, 64),
    key_frames=st.sampled_from([None, *KeyFrames]),
    keep_repeats=st.none() | st.booleans(),
    window_seconds=st.none() | st.integers(1, 600).map(float),
    hop_seconds=st.none() | st.integers(1, 86400).map(float),
    pooling=st.sampled_from([None, *Pooling]),
    percentile=st.none() | st.floats(0.001, 100),
    worst_count=st.none() | st.integers(1, 10_000),
)


@given(OPTIONS)
def test_options_come_over_the_wire_as_they_are(options):
    assert video_options_from_wire(video_options_to_wire(options)) == options


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampling": "random"},
        {"frames_per_second": 61.0},
        {"frame_count": 65},
        {"window_seconds": 0.0},
        {"hop_seconds": float("nan")},
        {"percentile": 101.0},
        {"pooling": "median"},
    ],
)
def test_what_is_out_of_range_is_refused_by_its_name(wrong):
    with pytest.raises(InvalidRequest, match=next(iter(wrong))) as refused:
        VideoOptions(**wrong)
    assert refused.value.field == f"config.video.{next(iter(wrong))}"


def test_what_nobody_asked_for_is_the_default():
    assert VideoOptions(worst_count=2, pooling="worst").over(DEFAULTS).key_frames == "auto"


def test_a_default_that_means_nothing_next_to_a_choice_is_no_contradiction():
    hop = VideoOptions(sampling="fps", window_seconds=4.0, hop_seconds=2.0)
    assert VideoOptions(sampling="uniform").over(hop).sampling == "uniform"
