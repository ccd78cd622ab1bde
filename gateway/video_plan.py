"""Which frames of one video are scored, from what the request, the operator and the model say."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Interval

from assay.v1 import event_pb2
from assay.video import KeyFrames, Percent, Pooling, PoolingRule, Sampling, VideoOptions, WindowCount
from assay.wire import KEY_FRAMES_TO_WIRE, SAMPLING_TO_WIRE, duration, resampling_from_wire
from gateway.decode.spec import DecodeLimits, DecodeSource, DecodeSpec, Shrink, Target
from gateway.scenes import CHECKS_PER_SECOND
from gateway.upstream import ModelSpec
from gateway.windows import Runs, Windows


@dataclass(frozen=True, slots=True)
class VideoDefaults(VideoOptions):
    """What holds where a request leaves something open."""

    sampling: Sampling = Sampling.FPS
    frame_count: Annotated[int, Interval(ge=1, le=64)] = 16
    key_frames: KeyFrames = KeyFrames.AUTO
    keep_repeats: bool = False
    pooling: Pooling = Pooling.MEAN
    percentile: Percent = 10.0
    worst_count: WindowCount = 3
    key_frames_from_seconds: Annotated[float, Gt(0)] = 2.0
    """With auto, key frames stand for others where a sample stands for so long, and every frame is decoded where not;
    measured in benchmarks/LOG.md."""
    repeat_levels: Annotated[float, Interval(ge=0, le=255)] = 1.0
    """Mean difference, in grey levels of 255, up to which two frames are nearly the same; see gateway/repeats.py."""
    max_windows: WindowCount = 10_000
    """Windows of one video; more of them end it with a partial result."""


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """Nothing is left open."""

    sampling: Sampling
    frames_per_second: float
    frame_count: int
    key_frames: KeyFrames
    key_frames_from_seconds: float
    window_seconds: float
    hop_seconds: float
    max_frames: int
    """That the model takes in one clip."""
    repeat_levels: float
    """See `gateway.repeats.Repeats`; 0 shows the model every frame."""
    max_windows: int
    rule: PoolingRule

    @classmethod
    def of(cls, asked: VideoOptions, spec: ModelSpec, defaults: VideoDefaults) -> "VideoPlan":
        """The rate and the length of a clip are the model's if nobody says. InvalidRequest for what contradicts."""
        options = asked.over(defaults)
        window_seconds = options.window_seconds or spec.clip_seconds
        # No more than the model can be shown of one window: the rest would be decoded for nothing.
        rate = min(options.frames_per_second or spec.frames_per_second, spec.clip_max_frames / window_seconds)
        return cls(
            sampling=options.sampling,
            frames_per_second=rate,
            frame_count=options.frame_count,
            key_frames=KeyFrames.EXACT if options.sampling is Sampling.SCENE else options.key_frames,
            key_frames_from_seconds=options.key_frames_from_seconds,
            window_seconds=window_seconds,
            hop_seconds=options.hop_seconds or window_seconds,
            max_frames=spec.clip_max_frames,
            repeat_levels=0.0 if options.keep_repeats else options.repeat_levels,
            max_windows=options.max_windows,
            rule=PoolingRule(options.pooling, options.percentile, options.worst_count),
        )

    def windows(self) -> Windows | Runs:
        """What cuts the frames into clips."""
        if self.sampling is Sampling.UNIFORM:
            return Runs(self.frame_count, self.max_frames)
        return Windows(self.window_seconds, self.max_frames, hop_seconds=self.hop_seconds)

    def decode_spec(self, spec: ModelSpec, limits: DecodeLimits) -> DecodeSpec:
        """The part that is done where the video is decoded."""
        is_scene = self.sampling is Sampling.SCENE
        return DecodeSpec(
            is_video=True,
            target=_video_target(spec),
            photo_target=_photo_target(spec),
            repeat_levels=self.repeat_levels,
            frames_per_second=max(CHECKS_PER_SECOND, self.frames_per_second) if is_scene else self.frames_per_second,
            sampling=Sampling.FPS if is_scene else self.sampling,
            frame_count=self.frame_count,
            # Where windows lie is known only when the cuts are.
            window_seconds=math.inf if is_scene else self.window_seconds,
            hop_seconds=math.inf if is_scene else self.hop_seconds,
            key_frames=self.key_frames,
            key_frames_from_seconds=self.key_frames_from_seconds,
            limits=limits,
        )

    def report(self) -> event_pb2.VideoReport:
        """The same for the client."""
        report = event_pb2.VideoReport(
            policy=SAMPLING_TO_WIRE[self.sampling], key_frames=KEY_FRAMES_TO_WIRE[self.key_frames]
        )
        if self.sampling is Sampling.UNIFORM:
            report.frame_count = self.frame_count
        else:
            report.frames_per_second = self.frames_per_second
            report.window_length.CopyFrom(duration(self.window_seconds))
            report.window_hop.CopyFrom(duration(self.hop_seconds))
        return report


def image_spec(spec: ModelSpec, limits: DecodeLimits) -> DecodeSpec:
    """Of a still picture, which has one frame."""
    return DecodeSpec(is_video=False, target=_photo_target(spec), limits=limits)


def live_spec(spec: ModelSpec, limits: DecodeLimits, source: DecodeSource) -> DecodeSpec:
    """Of a live stream, which is sampled at the model's rate."""
    return DecodeSpec(
        is_video=True,
        target=_video_target(spec),
        frames_per_second=spec.frames_per_second,
        limits=limits,
        source=source,
    )


def live_windows(spec: ModelSpec, window_seconds: float, hop_seconds: float) -> Windows:
    """0: the length that the model was made for; 0: the length of a window."""
    length = window_seconds or spec.clip_seconds
    return Windows(length, spec.clip_max_frames, hop_seconds=hop_seconds or length, joins_rest=False)


def _photo_target(spec: ModelSpec) -> Target:
    return Target(
        spec.image_min_pixels,
        spec.image_max_pixels,
        spec.factor_px,
        _shrink(spec, spec.shrink_first.image_pixels),
        spec.enlarge_first_pixels,
        spec.leave_out_borders,
    )


def _video_target(spec: ModelSpec) -> Target:
    shrink = _shrink(spec, spec.shrink_first.video_pixels)
    return Target(spec.video_min_pixels, spec.video_max_pixels, spec.factor_px, shrink)


def _shrink(spec: ModelSpec, pixels: int) -> Shrink | None:
    if not spec.HasField("shrink_first"):
        return None
    return Shrink(pixels, resampling_from_wire(spec.shrink_first.resampling))
