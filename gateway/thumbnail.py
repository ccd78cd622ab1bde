"""Thumbnails: sampled frames as small JPEGs, for clients that show people the model's input."""

import asyncio
import io
from dataclasses import dataclass

from PIL import Image

from assay.frame import Frame
from assay.v1 import assay_pb2, event_pb2
from assay.wire import duration

DEFAULT_SIDE_PX = 160
_QUALITY = 75
_ROUND = 64
"""After so many thumbnails half as many of the frames that follow get one, so that hours of video cost kilobytes."""


@dataclass(slots=True)
class Thumbnails:
    """The thumbnails of one request."""

    longest_side_px: int
    """0: none are made."""
    thins_out: bool = True
    """False: every frame gets one, as a live stream's client drops what it has shown."""
    _frames: int = 0
    _made: int = 0

    async def feed(self, frame: Frame) -> event_pb2.Thumbnail | None:
        """The next sampled frame's; None where it has none."""
        index, stride = self._frames, 1 << (self._made // _ROUND if self.thins_out else 0)
        self._frames += 1
        if not self.longest_side_px or index % stride:
            return None
        self._made += 1
        return await asyncio.to_thread(thumbnail, frame, index, self.longest_side_px)


def thumbnails_from_wire(config: assay_pb2.ScoreConfig, *, thins_out: bool = True) -> Thumbnails:
    """As a request asks for them."""
    side_px = config.thumbnails.longest_side_px or DEFAULT_SIDE_PX
    return Thumbnails(side_px if config.HasField("thumbnails") else 0, thins_out)


def thumbnail(frame: Frame, index: int, longest_side_px: int) -> event_pb2.Thumbnail:
    """The frame as a JPEG of at most so many pixels a side."""
    image = Image.fromarray(frame.pixels)
    image.thumbnail((longest_side_px, longest_side_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return event_pb2.Thumbnail(
        frame_index=index,
        time_offset=duration(frame.pts_seconds),
        width_px=image.width,
        height_px=image.height,
        jpeg=file.getvalue(),
    )
