"""Decoded frames of a video -> those that are looked at, in the size of the model."""

from collections.abc import Iterator
from typing import Literal

import av
from av.video.stream import VideoStream

from assay.errors import BadMedia
from assay.frame import Frame
from assay.sampling import FixedRate, Spread
from gateway.decode_spec import DecodeSpec, DecodeSummary, MediaInfo
from gateway.decode_worker import alpha
from gateway.decode_worker.budget import Budget
from gateway.decode_worker.resize import FrameResizer, Orientation, Turn
from gateway.decode_worker.shortcut import Shortcut, Stretch

Event = MediaInfo | Frame | DecodeSummary

_CHANGES_SIZE = "the picture changes its size; all frames were brought to the size of the first"


class Sampler:
    """Picks frames by their presentation time and makes them the model's."""

    def __init__(self, spec: DecodeSpec, budget: Budget, container: str, stream: VideoStream) -> None:
        self.budget = budget
        self.warnings: list[str] = []
        self._spread = Spread[Frame](spec.frame_count) if spec.sampling == "uniform" else None
        self._rate = self._spread or FixedRate(spec.frames_per_second, spec.window_seconds, spec.hop_seconds)
        self._shortcut = Shortcut(spec.key_frames, spec.key_frames_from_seconds)
        self._resize = FrameResizer(spec.target)
        self._turn = Turn()
        self._container = container
        self._stream = stream
        self._origin: float | None = None
        self._last = -1.0
        self._only_key_frames = spec.key_frames == "only"
        # HEVC's own mark says less: a frame without it may be needed in a higher temporal layer.
        self._marks_needless = stream.codec_context.codec.canonical_name == "h264"
        self._told = -1.0
        """When the last packet is shown, by its own word, where it is not decoded."""
        self._max_seconds = spec.limits.max_duration_seconds
        self._untimely = 0
        self.sampled = 0
        self._shown: tuple[int, int] | None = None

    def feed(self, frame: av.VideoFrame) -> Iterator[Event]:
        seconds = frame.time
        if seconds is None:
            self._untimely += 1
            return
        self._origin = seconds if self._origin is None else self._origin
        pts_seconds = seconds - self._origin
        self.budget.frame(frame.width * frame.height, pts_seconds)
        turn = self._turn.of(frame)
        shown = shown_size(frame, self._stream, turn)
        if self._shown is None:
            self._shown = shown
            codec = self._stream.codec_context.codec.canonical_name
            yield MediaInfo(True, self._container, codec, width_px=shown[1], height_px=shown[0])
        if shown != self._shown and _CHANGES_SIZE not in self.warnings:
            self.warnings.append(_CHANGES_SIZE)
        if pts_seconds <= self._last:
            self._untimely += 1
            return
        self._last = pts_seconds
        if frame.is_corrupt:
            self.budget.corrupt += 1  # the next sound frame takes its place
            self.budget.frames -= 1
        elif self._rate.feed(pts_seconds):
            taken = Frame(self._resize(frame, shown, turn), pts_seconds)
            if self._spread is None:
                self.sampled += 1
                yield taken
            else:
                self._spread.put(taken)

    def rest(self) -> Iterator[Event]:
        """Frames that are known to be wanted only now that no other follows."""
        for _, frame in self._spread.finish() if self._spread else ():
            self.sampled += 1
            yield frame

    def stretch(self, packet: "av.Packet[VideoStream]") -> Stretch:
        """What is to be decoded, now that this packet has come."""
        if self._origin is None or packet.pts is None:
            before = self.last_stretch()
            return Stretch([*before.packets, packet], before.is_cut_off)
        seconds = float(packet.pts * packet.time_base) - self._origin
        skipped = self._shortcut.skipped
        stretch = self._shortcut.feed(packet, seconds, self._rate.next_seconds, self._rate.slot_seconds)
        self.budget.skipped(self._shortcut.skipped - skipped)
        if self._only_key_frames:
            self._told = max(self._told, min(seconds, self._max_seconds))
        return stretch

    def needless(self, packet: "av.Packet[VideoStream]") -> Literal["DEFAULT", "NONREF"]:
        """What the decoder may leave out, in FFmpeg's words: frames before the next sample from which no other frame is
        decoded, unless every damaged one is to be found."""
        if not self._marks_needless or not self._shortcut.is_taken(self._rate.slot_seconds):
            return "DEFAULT"
        if self._origin is None or packet.pts is None:
            return "DEFAULT"
        seconds = float(packet.pts * packet.time_base) - self._origin
        if seconds >= self._rate.next_seconds:
            return "DEFAULT"
        self._told = max(self._told, min(seconds, self._max_seconds))
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
            self.warnings.append(alpha.TRANSPARENT)
        if self._untimely:
            self.warnings.append(f"{self._untimely} frames without a time or going back in time were left out")
        counts = self.budget.frames, self.budget.corrupt, self.sampled
        return DecodeSummary(max(self._last, self._told, 0.0), *counts, tuple(self.warnings), self._shortcut.skipped)


def shown_size(frame: av.VideoFrame, stream: VideoStream, turn: Orientation) -> tuple[int, int]:
    """(height, width) in square pixels, upright."""
    height, width, aspect = frame.height, frame.width, stream.sample_aspect_ratio
    if aspect and 0.1 < aspect < 10:
        width = max(1, round(width * aspect))
    return (width, height) if turn.swaps_axes else (height, width)
