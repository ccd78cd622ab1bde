"""assay/video_wire.py: options of a video over the wire and back."""

import pytest

from assay.errors import InvalidRequest
from assay.v1 import assay_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions
from assay.video_wire import duration, seconds, video_options_from_wire, video_options_to_wire


@pytest.mark.parametrize(
    "options",
    [
        VideoOptions(),
        VideoOptions(sampling=Sampling.FPS, frames_per_second=2.5, window_seconds=4.0, hop_seconds=1.0),
        VideoOptions(sampling=Sampling.UNIFORM, frame_count=16, key_frames=KeyFrames.ONLY),
        VideoOptions(sampling=Sampling.SCENE, pooling=Pooling.PERCENTILE, percentile=10.0),
        VideoOptions(pooling=Pooling.WORST, worst_count=3, keep_repeats=False),
    ],
)
def test_options_come_back_as_they_were(options):
    assert video_options_from_wire(video_options_to_wire(options)) == options


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"sampling": {"policy": 99}}, "config.video.sampling"),
        ({"sampling": {"key_frames": 99}}, "config.video.key_frames"),
        ({"pooling": {"method": 99}}, "config.video.pooling"),
    ],
)
def test_what_a_newer_client_asks_for_is_refused_by_name(message, field):
    with pytest.raises(InvalidRequest, match="this server is older") as wrong:
        video_options_from_wire(assay_pb2.VideoOptions(**message))
    assert wrong.value.field == field


@pytest.mark.parametrize("length", [0.0, 1e-9, 4.0, 3599.999_999_999])
def test_a_duration_is_exact_to_the_nanosecond(length):
    assert seconds(duration(length)) == length
