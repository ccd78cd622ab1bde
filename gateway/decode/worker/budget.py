"""What one decode may spend, counted from what really happened and never from a header."""

import math
import resource
import time

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits
from gateway.decode.worker.reader import UploadReader

PADDING_PX = 1 << 22
"""By which FFmpeg's own limit is above that of stills, which are measured before: it counts the ends of rows that it
allocates, and would call a picture just below the limit damaged."""


class Budget:
    """Asked before every packet and for every frame; raises `OverLimit` with the limit's name and size.

    Between two packets FFmpeg is on its own: there the resource limits of the process and the gateway's clock hold.
    """

    def __init__(self, limits: DecodeLimits, upload: UploadReader) -> None:
        self._limits = limits
        self._upload = upload
        self._cpu_start = time.process_time()
        self._packets_without_frame = 0
        self._packet_bytes = 0
        self.frames = 0
        self.corrupt = 0
        self.media_seconds = 0.0
        self._most_pixels = 0
        self.broke_off = False
        """The container could not be read to its end."""

    def packet(self, size: int) -> None:
        """A compressed packet of `size` bytes is about to be decoded."""
        self._upload.obey()
        limits = self._limits
        self._packets_without_frame += 1
        self._packet_bytes += size
        if self._packets_without_frame > limits.max_packets_without_frame:
            raise OverLimit(
                f"{limits.max_packets_without_frame} packets in a row held no picture; re-encode the video",
                budget="max_packets_without_frame",
            )
        if self._packet_bytes > limits.max_read_ratio * self._upload.bytes_arrived + 65536:
            raise OverLimit(
                f"the video plays the same bytes again and again: {self._packet_bytes} bytes out of a file of "
                f"{self._upload.bytes_arrived}, the limit is {limits.max_read_ratio:g} times; re-encode it"
            )
        spent, granted = time.process_time() - self._cpu_start, self._granted_seconds()
        if spent > granted:
            raise OverLimit(
                f"decoding took {spent:.3g} s of processor time for {self.media_seconds:.0f} s of video, the limit is "
                f"{granted:.3g} s; lower its resolution or frame rate",
                budget="max_cpu_seconds",
            )

    def _granted_seconds(self) -> float:
        return self._limits.cpu_budget_seconds(self.media_seconds, self._most_pixels)

    def skipped(self, count: int) -> None:
        """So many of the packets counted were not decoded after all."""
        self._packets_without_frame -= count

    def frame(self, pixels: int, media_seconds: float) -> None:
        """A frame was decoded, shown `media_seconds` after the first."""
        limits = self._limits
        self._packets_without_frame = 0
        self.frames += 1
        self.media_seconds = max(self.media_seconds, media_seconds)
        self._most_pixels = max(self._most_pixels, pixels)
        if pixels > limits.max_video_pixels:
            raise OverLimit(too_many_pixels(pixels, limits.max_video_pixels))
        if media_seconds > limits.max_duration_seconds:
            self.check_quality()  # a damaged time is no long video
            raise OverLimit(
                f"the video is longer than the limit of {limits.max_duration_seconds:g} s "
                f"(a frame is shown at {media_seconds:.0f} s); send a shorter part",
                budget="max_duration_seconds",
            )
        if self.frames > limits.max_frames:
            raise OverLimit(
                f"the video has more than {limits.max_frames} frames; lower its frame rate", budget="max_frames"
            )

    def check_quality(self) -> None:
        """At the end: refuse what is damaged beyond the share that may be scored."""
        if not self.frames:
            raise BadMedia("no frame of the video could be decoded; it is damaged or cut off, export it again")
        share = self.corrupt / (self.frames + self.corrupt)
        if share > self._limits.max_corrupt_share:
            raise BadMedia(
                f"{self.corrupt} of {self.frames + self.corrupt} frames are damaged, more than "
                f"{self._limits.max_corrupt_share:.0%}; send an intact copy"
            )


def too_many_pixels(pixels: int, limit: int) -> str:
    return f"the picture has {pixels / 1e6:.1f} million pixels, the limit is {limit / 1e6:.1f} million; make it smaller"


def check_pixels(pixels: int, limit: int) -> None:
    """Before a still is decoded. Raises `OverLimit`."""
    if pixels > limit:
        raise OverLimit(too_many_pixels(pixels, limit))


def grant_cpu(seconds: float) -> None:
    """So much processor time from now on; beyond it comes SIGXCPU. May be granted again at any time.

    The net behind the budgets, held by the kernel.
    """
    granted = math.ceil(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (granted, resource.RLIM_INFINITY))
