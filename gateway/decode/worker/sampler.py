"""Decoded frames of a video -> those that are sampled, in the size of the model."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from assay.errors import BadMedia
from assay.frame import Frame
from assay.video import KeyFrames, Sampling
from gateway.decode.spec import DecodeSpec, DecodeSummary, MediaInfo, StillPhoto
from gateway.decode.worker.budget import Budget
from gateway.decode.worker.deinterlace import DEINTERLACED, Deinterlacer
from gateway.decode.worker.photo import StandingPictures
from gateway.decode.worker.presentation import Presentation
from gateway.decode.worker.resize import FrameOrientation, FrameResizer, Orientation
from gateway.decode.worker.shortcut import Shortcut, Stretch
from gateway.sampling import FixedRate, Spread

Event = MediaInfo | Frame | StillPhoto | DecodeSummary

_LEAST_STAND_SECONDS = 0.02
"""The last frame stands in a further slot if it does so for longer; times of containers are rounded."""
_LEAST_SPREAD_STAND_SECONDS = 0.5
"""A uniform sample has a finer grid than many videos have frames: there, only what stands for longer counts anew."""
_LONGEST_GUESS_SECONDS = 1.0
"""For how long a last frame is taken to stand whose file does not say it."""
_BY_DECODING = ("h264", "hevc")
"""Codecs of which AVI, which has no times but a number for each packet, does not tell when a frame is shown, and
FFmpeg guesses as if they came in that order. Its decoders give them out in it, with the number of the last packet."""
_TRANSPARENT = "transparent parts of the video were judged as they look on white"
_CHANGES_SIZE = "the picture changes its size; all frames were brought to the size of the first"


class Sampler:
    """Picks frames by their presentation time and makes them the model's.

    A frame stands until the next one: it is sampled anew for every slot that has no frame of its own.
    """

    def __init__(
        self, spec: DecodeSpec, budget: Budget, container: str, stream: VideoStream, presentation: Presentation
    ) -> None:
        self.budget = budget
        self.warnings: list[str] = []
        self._spread = Spread[Frame](spec.frame_count) if spec.sampling is Sampling.UNIFORM else None
        self._rate = self._spread or FixedRate(spec.frames_per_second, spec.window_seconds, spec.hop_seconds)
        self._shortcut = Shortcut(spec.key_frames, spec.key_frames_from_seconds)
        self._resize = FrameResizer(spec.target, presentation)
        self._pictures = StandingPictures(spec, self.warnings)
        self._deinterlace = Deinterlacer(presentation.field_order)
        self._presentation = presentation
        self._turn = FrameOrientation()
        self._container = container
        self._stream = stream
        self._origin: float | None = None
        self._last = -1.0
        self._step_seconds = 0.0
        self._is_by_decoding = container == "avi" and stream.codec_context.codec.canonical_name in _BY_DECODING
        # MPEG-PS tells the time of a frame only if a packet begins with it.
        self._says_some_times = container == "mpegps" or self._is_by_decoding
        self._stand_seconds = 0.0
        """For how long the last frame is shown."""
        self._before: av.VideoFrame | None = None
        self._standing: _Standing | None = None
        self._only_key_frames = spec.key_frames is KeyFrames.ONLY
        # HEVC's own mark says less: a frame without it may be needed in a higher temporal layer.
        self._marks_needless = stream.codec_context.codec.canonical_name == "h264"
        self._latest_seconds = -1.0
        """When the last packet is shown, by its own word, where it is not decoded."""
        self._max_seconds = spec.limits.max_duration_seconds
        self._untimely = 0
        self.sampled = 0
        self._shown: tuple[int, int] | None = None

    def feed(self, frame: av.VideoFrame) -> Iterator[Event]:
        seconds = self._seconds_of(frame)
        if seconds is None and not (self._says_some_times and self._step_seconds):
            self._untimely += 1
            return
        if seconds is None:
            pts_seconds = self._last + self._step_seconds
        else:
            self._origin = seconds if self._origin is None else self._origin
            pts_seconds = seconds - self._origin
        self.budget.frame(frame.width * frame.height, pts_seconds)
        turn = self._turn.of(frame)
        shown = shown_size(frame, self._stream, turn, self._presentation)
        if self._shown is None:
            self._shown = shown
            codec = self._stream.codec_context.codec.canonical_name
            yield MediaInfo(True, self._container, codec, width_px=shown[1], height_px=shown[0])
        if shown != self._shown and _CHANGES_SIZE not in self.warnings:
            self.warnings.append(_CHANGES_SIZE)
        if pts_seconds <= self._last:
            self._untimely += 1
            return
        self._step_seconds = min(pts_seconds - self._last, _LONGEST_GUESS_SECONDS) if self._last >= 0 else 0.0
        self._last = pts_seconds
        stand_seconds = float((frame.duration or 0) * (frame.time_base or 0))
        self._stand_seconds = stand_seconds if stand_seconds > 0 else self._step_seconds
        if frame.is_corrupt:
            self.budget.corrupt += 1  # the next sound frame takes its place
            self.budget.frames -= 1
        else:
            yield from self._take(_Standing(frame, pts_seconds, shown, turn))

    def _seconds_of(self, frame: av.VideoFrame) -> float | None:
        if not self._is_by_decoding:
            return frame.time
        return (
            None if frame.dts is None or self._stream.time_base is None else float(frame.dts * self._stream.time_base)
        )

    def _take(self, new: "_Standing") -> Iterator[Event]:
        """The frame that stood so far ends, and the new one stands."""
        yield from self._stood(new.frame, self._rate.slot_start(new.pts_seconds))
        self._before = self._standing.frame if self._standing else None
        self._standing = new
        new.is_wanted = self._rate.feed(new.pts_seconds)
        if new.is_wanted and not self._deinterlace.may_change(new.frame):
            yield from self._give(new, None)
            new.is_wanted = False

    def _stood(self, after: av.VideoFrame | None, until_seconds: float) -> Iterator[Event]:
        """All samples of the frame that stands; `after` is the one that follows, which shows what lines are whose."""
        standing = self._standing
        if standing is None:
            return
        if standing.is_wanted:
            yield from self._give(standing, after)
        if self._only_key_frames or (
            self._spread is not None and until_seconds - standing.pts_seconds < _LEAST_SPREAD_STAND_SECONDS
        ):
            return
        while self._rate.upcoming_seconds < until_seconds:
            seconds = self._rate.upcoming_seconds
            self._rate.feed(seconds)
            yield from self._give(standing, after, seconds)

    def _pixels_of(self, standing: "_Standing", after: av.VideoFrame | None) -> NDArray[np.uint8]:
        if standing.pixels is None:
            whole = self._deinterlace(standing.frame, self._before, after)
            standing.pixels = self._resize(whole, standing.shown, standing.turn)
        return standing.pixels

    def _give(self, standing: "_Standing", after: av.VideoFrame | None, from_seconds: float = 0.0) -> Iterator[Event]:
        frame = Frame(self._pixels_of(standing, after), max(from_seconds, standing.pts_seconds))
        if self._spread is None:
            self.sampled += 1
            yield frame
        else:
            self._spread.put(frame)
        yield from self._pictures.feed(frame, standing.shown, partial(self._whole, standing, after))

    def _whole(self, standing: "_Standing", after: av.VideoFrame | None, size: tuple[int, int]) -> NDArray[np.uint8]:
        frame = self._deinterlace(standing.frame, self._before, after)
        return self._resize.whole(frame, size, standing.turn)

    @property
    def _end_seconds(self) -> float:
        """When the last frame ends, by its own word; no word counts beyond the longest video."""
        end = max(self._last, min(self._last + self._stand_seconds, self._max_seconds))
        return max(end, self._latest_seconds, 0.0)

    def rest(self) -> Iterator[Event]:
        """Frames that are known to be wanted only now that no other follows."""
        yield from self._stood(None, self._end_seconds - _LEAST_STAND_SECONDS)
        if self._standing is not None:
            yield from self._pictures.rest(self._standing.shown, partial(self._whole, self._standing, None))
        self._standing = None
        for _, frame in self._spread.finish() if self._spread else ():
            self.sampled += 1
            yield frame

    def stretch(self, packet: "av.Packet[VideoStream]") -> Stretch:
        """What is to be decoded, now that this packet has come."""
        if self._origin is None or packet.pts is None or self._is_by_decoding:
            before = self.last_stretch()
            return Stretch([*before.packets, packet], before.is_cut_off)
        seconds = float(packet.pts * packet.time_base) - self._origin
        skipped = self._shortcut.skipped
        stretch = self._shortcut.feed(packet, seconds, self._rate.next_seconds, self._rate.slot_seconds)
        self.budget.skipped(self._shortcut.skipped - skipped)
        if self._only_key_frames:
            self._latest_seconds = max(self._latest_seconds, min(seconds, self._max_seconds))
        return stretch

    def needless(self, packet: "av.Packet[VideoStream]") -> Literal["DEFAULT", "NONREF"]:
        """What the decoder may leave out, in FFmpeg's words: frames before the next sample from which no other frame is
        decoded, unless every damaged one is to be found."""
        if not self._marks_needless or not self._shortcut.is_taken(self._rate.slot_seconds):
            return "DEFAULT"
        if self._origin is None or packet.pts is None or self._is_by_decoding:
            return "DEFAULT"
        seconds = float(packet.pts * packet.time_base) - self._origin
        if seconds >= self._rate.next_seconds:
            return "DEFAULT"
        self._latest_seconds = max(self._latest_seconds, min(seconds, self._max_seconds))
        return "NONREF"

    def last_stretch(self) -> Stretch:
        """What was held back."""
        return self._shortcut.rest()

    def summary(self) -> DecodeSummary:
        """Raises `BadMedia` if there was nothing to sample."""
        if not self.sampled:
            raise BadMedia("no frame of the video has a usable time; convert it to MP4 and send it again")
        if self.budget.corrupt:
            self.warnings.append(f"{self.budget.corrupt} damaged frames were left out")
        if self._resize.saw_transparency:
            self.warnings.append(_TRANSPARENT)
        if self._deinterlace.count:
            self.warnings.append(DEINTERLACED)
        if self._untimely:
            self.warnings.append(f"{self._untimely} frames without a time or going back in time were left out")
        return DecodeSummary(
            duration_seconds=max(self._last, self._latest_seconds, 0.0),
            frames_decoded=self.budget.frames,
            frames_corrupt=self.budget.corrupt,
            frames_sampled=self.sampled,
            warnings=tuple(self.warnings),
            end_seconds=self._end_seconds,
            packets_skipped=self._shortcut.skipped,
        )


@dataclass(slots=True, eq=False)
class _Standing:
    """A frame that is shown, until the next one is."""

    frame: av.VideoFrame
    pts_seconds: float
    shown: tuple[int, int]
    turn: Orientation
    is_wanted: bool = False
    """It is to be sampled at its own time, and was not yet, because how depends on the next one."""
    pixels: NDArray[np.uint8] | None = None
    """In the size for the model, once they were needed."""


def shown_size(
    frame: av.VideoFrame, stream: VideoStream, turn: Orientation, presentation: Presentation
) -> tuple[int, int]:
    """(height, width) in square pixels, cropped and upright."""
    width, height = presentation.cropped_size(frame.width, frame.height)
    aspect = stream.sample_aspect_ratio
    if aspect and 0.1 < aspect < 10:
        width = max(1, round(width * aspect))
    return (width, height) if turn.swaps_axes else (height, width)
