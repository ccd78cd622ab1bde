"""VideoOptions <-> assay.v1."""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from assay.errors import InvalidRequest
from assay.v1 import assay_pb2, event_pb2, video_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

T = TypeVar("T")
SAMPLING_TO_WIRE = {
    None: video_pb2.SAMPLING_POLICY_UNSPECIFIED,
    Sampling.FPS: video_pb2.SAMPLING_POLICY_FPS,
    Sampling.UNIFORM: video_pb2.SAMPLING_POLICY_UNIFORM,
    Sampling.SCENE: video_pb2.SAMPLING_POLICY_SCENE,
}
KEY_FRAMES_TO_WIRE = {
    None: video_pb2.KEY_FRAMES_UNSPECIFIED,
    KeyFrames.EXACT: video_pb2.KEY_FRAMES_EXACT,
    KeyFrames.AUTO: video_pb2.KEY_FRAMES_AUTO,
    KeyFrames.ONLY: video_pb2.KEY_FRAMES_ONLY,
}
POOLING_TO_WIRE = {
    None: event_pb2.POOLING_UNSPECIFIED,
    Pooling.MEAN: event_pb2.POOLING_MEAN,
    Pooling.PERCENTILE: event_pb2.POOLING_PERCENTILE,
    Pooling.WORST: event_pb2.POOLING_WORST,
}
SAMPLING_FROM_WIRE = {number: name for name, number in SAMPLING_TO_WIRE.items()}
KEY_FRAMES_FROM_WIRE = {number: name for name, number in KEY_FRAMES_TO_WIRE.items()}
POOLING_FROM_WIRE = {number: name for name, number in POOLING_TO_WIRE.items()}


def video_options_to_wire(options: VideoOptions) -> assay_pb2.VideoOptions:
    message = assay_pb2.VideoOptions(
        sampling=video_pb2.Sampling(
            policy=SAMPLING_TO_WIRE[options.sampling],
            frames_per_second=options.frames_per_second or 0.0,
            frame_count=options.frame_count or 0,
            key_frames=KEY_FRAMES_TO_WIRE[options.key_frames],
            keep_repeats=options.keep_repeats,
        ),
        pooling=event_pb2.PoolingRule(
            method=POOLING_TO_WIRE[options.pooling],
            percentile=options.percentile or 0.0,
            worst_count=options.worst_count or 0,
        ),
    )
    if options.window_seconds is not None:
        message.windows.length.CopyFrom(duration(options.window_seconds))
    if options.hop_seconds is not None:
        message.windows.hop.CopyFrom(duration(options.hop_seconds))
    return message


def video_options_from_wire(message: assay_pb2.VideoOptions) -> VideoOptions:
    """InvalidRequest for what is out of range or not known to this release."""
    sampling, windows, pooling = message.sampling, message.windows, message.pooling
    return VideoOptions(
        sampling=_known(SAMPLING_FROM_WIRE, "sampling", sampling.policy),
        frames_per_second=sampling.frames_per_second or None,
        frame_count=sampling.frame_count or None,
        key_frames=_known(KEY_FRAMES_FROM_WIRE, "key_frames", sampling.key_frames),
        keep_repeats=sampling.keep_repeats if sampling.HasField("keep_repeats") else None,
        window_seconds=seconds(windows.length) if windows.HasField("length") else None,
        hop_seconds=seconds(windows.hop) if windows.HasField("hop") else None,
        pooling=_known(POOLING_FROM_WIRE, "pooling", pooling.method),
        percentile=pooling.percentile or None,
        worst_count=pooling.worst_count or None,
    )


def _known(names: Mapping[Any, T], field: str, number: int) -> T:
    if number not in names:
        raise InvalidRequest(f"unknown {field} {number}; this server is older", field=f"config.video.{field}")
    return names[number]


def duration(seconds: float) -> Duration:
    """Seconds as a Duration, to the nanosecond."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def seconds(message: Duration) -> float:
    return message.ToNanoseconds() / 1e9
