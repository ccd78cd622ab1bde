"""What the decoder is asked for and what it answers: plain values that both sides of the worker's socket share."""

import math
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Gt, Interval, MaxLen

from assay.errors import InvalidRequest
from assay.frame import Frame
from assay.video import KeyFrames, Sampling

MIB = 1024 * 1024
RAW_FRAME = struct.Struct(">dII")
"""In front of the pixels of a frame that a client has decoded: its time in seconds, height and width in pixels."""
_ENDLESS_BYTES = 1 << 62
_PIXELS_OF_4K = 9_500_000
Size = Annotated[int, Ge(1)]
Above0 = Annotated[float, Gt(0)]
# What a worker may say of a file; see `gateway.decode.records`.
ShortText = Annotated[str, MaxLen(1000)]
Count = Annotated[int, Interval(ge=0, lt=10**12)]
Seconds = Annotated[float, Interval(ge=0, lt=1e12)]


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Budgets of one decode. A file that exceeds one gets `OverLimit` with the name and the size of it.

    No number in a header counts against these, only what was really read, decoded and spent.
    """

    max_image_bytes: Size = 32 * MIB
    """Of the file of a picture."""
    max_video_bytes: Size = 512 * MIB
    """Of the file of a video."""
    max_image_pixels: Size = 50_000_000
    """Width x height of a still picture, before it is resized."""
    max_video_pixels: Size = 36_000_000
    """Width x height of every single frame of a video, before it is resized: 8192 x 4320 of 8K."""
    max_duration_seconds: Above0 = 1200.0
    """Presentation time between the first and the last displayed frame."""
    max_streams: Size = 1000
    """Tracks of any kind inside one file. One is decoded, and what the others cost is bounded by bytes and memory."""
    max_samples: Size = 2_000_000
    """Entries that the tables of an MP4 may claim for its picture and, of all other tracks together, once more."""
    max_index_bytes: Size = 64 * MIB
    """Size of an MP4's index (the moov box) that is held in memory before the first frame."""
    max_frames: Size = 300_000
    """Frames decoded, sampled or not."""
    max_packets_without_frame: Size = 20_000
    """Compressed packets read in a row that did not yield a frame."""
    max_read_ratio: Annotated[float, Ge(1)] = 1.2
    """Bytes of packets handed to the decoder, as a multiple of the bytes of the file."""
    max_corrupt_share: Annotated[float, Interval(ge=0, le=1)] = 0.25
    """Share of frames that may be damaged before the video is refused instead of scored."""
    max_cpu_seconds: Above0 = 30.0
    """Processor time of the worker for one file, to which `cpu_seconds_per_media_second` adds."""
    cpu_seconds_per_media_second: Annotated[float, Ge(0)] = 1.0
    """Further processor time for each second of video that was really shown (4K30 H.264 needs about 0.9),
    more for larger frames."""
    max_wall_seconds: Above0 = 60.0
    """Clock time that the worker may compute, waiting for bytes or for the reader not counted.
    `wall_seconds_per_media_second` adds to it; then the worker is killed."""
    wall_seconds_per_media_second: Annotated[float, Ge(0)] = 2.0
    """Further clock time for each second of video that was really shown."""
    max_memory_bytes: Annotated[int, Ge(64 * MIB)] = 1536 * MIB
    """Address space the worker may add to what it has when idle (a spooled file comes on top)."""

    def cpu_budget_seconds(self, media_seconds: float, pixels: int = 0) -> float:
        """Processor seconds granted once `media_seconds` of video have been shown, in frames of so many pixels."""
        return self.max_cpu_seconds + self.cpu_seconds_per_media_second * media_seconds * _share_of_4k(pixels)

    def wall_budget_seconds(self, media_seconds: float, pixels: int = 0) -> float:
        """Clock seconds of computing granted once `media_seconds` of video have been shown."""
        return self.max_wall_seconds + self.wall_seconds_per_media_second * media_seconds * _share_of_4k(pixels)


def _share_of_4k(pixels: int) -> float:
    """How much more a frame costs than one of 4K, for which the budgets are stated; at least 1."""
    return max(1.0, pixels / _PIXELS_OF_4K)


@dataclass(frozen=True, slots=True)
class Shrink:
    """A step in front of the resize, for models whose training pictures were made smaller by other software first."""

    max_pixels: int
    """A picture of a larger area is brought down to this one, in pixels."""
    resample: str
    """nearest or bicubic."""

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or self.resample not in ("nearest", "bicubic"):
            raise ValueError(f"need max_pixels >= 1 and resample nearest or bicubic, got {self}")


@dataclass(frozen=True, slots=True)
class Target:
    """The size in which the model wants its pictures, see `gateway.decode.worker.resize.smart_resize`."""

    min_pixels: int
    """Smallest area, in pixels after resizing."""
    max_pixels: int
    """Largest area, in pixels after resizing."""
    factor_px: int = 28
    """Both sides become a multiple of this: patch size times spatial merge of the model."""
    shrink_first: Shrink | None = None
    """None: resized once, from the picture's own size."""
    enlarge_first_pixels: int = 0
    """A still picture of a smaller area is enlarged to this one first, in pixels; 0 for none. Videos ignore it."""
    leave_out_borders: bool = False
    """White and black bars around a still picture are cut off first. Videos ignore it."""

    def __post_init__(self) -> None:
        if self.factor_px < 1 or not self.factor_px**2 <= self.min_pixels <= self.max_pixels:
            raise ValueError(f"need factor_px**2 <= min_pixels <= max_pixels, got {self}")


class DecodeSource(StrEnum):
    """What the bytes are."""

    FILE = "file"
    STREAM = "stream"
    """A container that is written for as long as the stream runs."""
    FRAMES = "frames"
    """Frames that the client has decoded, each `RAW_FRAME` and its pixels."""


@dataclass(frozen=True, slots=True)
class DecodeSpec:
    """What to do with one upload."""

    is_video: bool
    """True: sample frames of a video; False: one still picture."""
    target: Target
    frames_per_second: float = 2.0
    """Frames sampled per second of presentation time, 0 < x <= 60; a still picture ignores it."""
    sampling: Sampling = Sampling.FPS
    """FPS, or UNIFORM: `frame_count` frames over the whole video."""
    frame_count: int = 8
    """Frames of a uniform sample, which is not by the second."""
    photo_target: Target | None = None
    """Of a video: the size in which a picture that stands still is sent once more, as `StillPhoto`; None sends none."""
    repeat_levels: float = 0.0
    """Up to which difference a picture stands still, see `gateway.repeats.Repeats`."""
    window_seconds: float = math.inf
    hop_seconds: float = math.inf
    """Where the hop is longer than the window, frames between two windows are not sampled."""
    key_frames: KeyFrames = KeyFrames.AUTO
    """Whether they may stand for others."""
    key_frames_from_seconds: float = 2.0
    """With AUTO they may from this length of a time slot on; below it every frame is decoded."""
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    source: DecodeSource = DecodeSource.FILE
    renew_seconds: float = 10.0
    """Of a live stream: seconds of it after which the budgets of time, frames and packets begin anew."""

    def __post_init__(self) -> None:
        for name, kind in (("sampling", Sampling), ("key_frames", KeyFrames), ("source", DecodeSource)):
            object.__setattr__(self, name, kind(getattr(self, name)))  # from the worker's socket they come as texts
        if not (math.isfinite(self.frames_per_second) and 0.0 < self.frames_per_second <= 60.0):
            raise InvalidRequest(
                f"frames_per_second must be above 0 and at most 60, got {self.frames_per_second}",
                field="frames_per_second",
            )

    @property
    def is_live(self) -> bool:
        """Bytes come for as long as they come."""
        return self.source is not DecodeSource.FILE

    @property
    def max_bytes(self) -> int:
        """Bytes of the file that are accepted."""
        if self.is_live:
            return _ENDLESS_BYTES
        limits = self.limits
        return limits.max_video_bytes if self.is_video else limits.max_image_bytes

    @property
    def spool_bytes(self) -> int:
        """Bytes that may have to be held until the file is whole."""
        return 0 if self.is_live else self.max_bytes

    @property
    def granted_media_seconds(self) -> float:
        """Presentation time for which budgets are granted at once."""
        if self.is_live:
            return 2 * self.renew_seconds
        return self.limits.max_duration_seconds if self.is_video else 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    """What a live stream has lost since the last frame that came through."""

    damaged_frames: Count = 0
    clock_jumps: Count = 0

    def __add__(self, other: "Lost") -> "Lost":
        return Lost(self.damaged_frames + other.damaged_frames, self.clock_jumps + other.clock_jumps)


@dataclass(frozen=True, slots=True)
class StillPhoto:
    """A picture of a video that stands still, in the size of photos."""

    frame: Frame
    """Its time is that of the first sample that shows the picture."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the bytes turned out to be; known with the first decoded frame."""

    is_video: bool
    container: ShortText
    """jpeg, png, webp, gif, bmp, tiff (camera raw, too), avif, heic; mp4, matroska (also WebM), mpegts, mpegps,
    flv, avi."""
    codec: ShortText
    """FFmpeg's name of the codec: h264, hevc, vp9, av1, mjpeg, ..."""
    width_px: Count
    """As displayed: after rotation and with square pixels, before it is resized for the model."""
    height_px: Count


@dataclass(frozen=True, slots=True)
class DecodeSummary:
    """How the decode went; the last event."""

    duration_seconds: Seconds
    """Presentation time of the last displayed frame, counted from the first; 0 for a picture."""
    frames_decoded: Count
    frames_corrupt: Count
    """Frames and packets that were damaged and therefore not sampled."""
    frames_sampled: Count
    warnings: Annotated[tuple[ShortText, ...], MaxLen(20)] = ()
    """Sentences for the client about what was wrong with the file but did not stop the decode."""
    end_seconds: Seconds = 0.0
    """Presentation time at which the last displayed frame ends."""
    packets_skipped: Count = 0
    """Compressed packets that were not decoded, because no sample needed them."""
