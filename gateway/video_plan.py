"""How one video is looked at, once the request, the operator and the model have each had their say."""

import math
from dataclasses import dataclass

from assay.score import PoolingRule
from assay.v1 import event_pb2
from assay.video import VideoOptions
from assay.video_wire import KEY_FRAMES_TO_WIRE, SAMPLING_TO_WIRE, duration
from assay.windows import Runs, Windows
from gateway.decode.spec import DecodeLimits, DecodeSpec, Target
from gateway.scenes import LOOKS_PER_SECOND
from gateway.upstream import ModelSpec


@dataclass(frozen=True, slots=True)
class VideoDefaults:
    """What an operator has set for every video."""

    options: VideoOptions
    """Complete but for the rate and the length of a clip: what holds where a request leaves something open."""
    key_frames_from_seconds: float
    """Slots of this length count as long enough for key frames to stand for others."""
    repeat_levels: float
    """See `assay.repeats.Repeats`."""
    max_windows: int


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """Nothing is left open."""

    sampling: str
    frames_per_second: float
    frame_count: int
    key_frames: str
    key_frames_from_seconds: float
    window_seconds: float
    hop_seconds: float
    max_frames: int
    """That the model takes in one clip."""
    keep_repeats: bool
    rule: PoolingRule

    @classmethod
    def of(cls, asked: VideoOptions, spec: ModelSpec, video_defaults: VideoDefaults) -> "VideoPlan":
        """The rate and the length of a clip are the model's if nobody says. InvalidRequest for what contradicts."""
        options = asked.over(video_defaults.options)
        window_seconds = options.window_seconds or spec.clip_seconds
        # No more than the model can be shown of one window: the rest would be decoded for nothing.
        rate = min(options.frames_per_second or spec.frames_per_second, spec.clip_max_frames / window_seconds)
        return cls(
            sampling=options.sampling,
            frames_per_second=rate,
            frame_count=options.frame_count or spec.clip_max_frames,
            key_frames="exact" if options.sampling == "scene" else options.key_frames,
            key_frames_from_seconds=video_defaults.key_frames_from_seconds,
            window_seconds=window_seconds,
            hop_seconds=options.hop_seconds or window_seconds,
            max_frames=spec.clip_max_frames,
            keep_repeats=bool(options.keep_repeats),
            rule=PoolingRule(options.pooling, options.percentile or 10.0, options.worst_count or 3),
        )

    def windows(self) -> Windows | Runs:
        """What cuts the frames into clips."""
        if self.sampling == "uniform":
            return Runs(self.frame_count, self.max_frames)
        return Windows(self.window_seconds, self.max_frames, hop_seconds=self.hop_seconds)

    def decode_spec(self, target: Target, limits: DecodeLimits) -> DecodeSpec:
        """The part of it that is done where the video is decoded."""
        is_scene = self.sampling == "scene"
        return DecodeSpec(
            is_video=True,
            target=target,
            frames_per_second=max(LOOKS_PER_SECOND, self.frames_per_second) if is_scene else self.frames_per_second,
            sampling="uniform" if self.sampling == "uniform" else "fps",
            frame_count=self.frame_count,
            # Where windows lie is known only when the cuts are.
            window_seconds=math.inf if is_scene else self.window_seconds,
            hop_seconds=math.inf if is_scene else self.hop_seconds,
            key_frames=self.key_frames,
            key_frames_from_seconds=self.key_frames_from_seconds,
            limits=limits,
        )

    def report(self) -> event_pb2.VideoReport:
        """What a client is told of it."""
        report = event_pb2.VideoReport(
            policy=SAMPLING_TO_WIRE[self.sampling], key_frames=KEY_FRAMES_TO_WIRE[self.key_frames]
        )
        if self.sampling == "uniform":
            report.frame_count = self.frame_count
        else:
            report.frames_per_second = self.frames_per_second
            report.window_length.CopyFrom(duration(self.window_seconds))
            report.window_hop.CopyFrom(duration(self.hop_seconds))
        return report
