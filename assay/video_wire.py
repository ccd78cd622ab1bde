"""VideoOptions <-> assay.v1."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from assay.errors import InvalidRequest
from assay.v1 import assay_pb2, event_pb2, video_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

T = TypeVar("T")


def _numbers(kind: type[StrEnum], wire: Any, prefix: str) -> dict[Any, Any]:
    """Member -> the wire's number of the same name behind the prefix; of None that of what is not specified."""
    return {None: wire.Value(f"{prefix}_UNSPECIFIED"), **{each: wire.Value(f"{prefix}_{each.name}") for each in kind}}


SAMPLING_TO_WIRE = _numbers(Sampling, video_pb2.SamplingPolicy, "SAMPLING_POLICY")
KEY_FRAMES_TO_WIRE = _numbers(KeyFrames, video_pb2.KeyFrames, "KEY_FRAMES")
POOLING_TO_WIRE = _numbers(Pooling, event_pb2.Pooling, "POOLING")
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
