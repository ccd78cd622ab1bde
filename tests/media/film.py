"""Films: videos of any length whose frames are reported as grey levels or drawn by a function, made in memory."""

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def film(
    levels: "Iterable[float | Picture]",
    *,
    frames_per_second: float,
    key_frame_every: int = 50,
    size: tuple[int, int] = (96, 64),
    container: str = "mp4",
    codec: str = "libx264",
) -> bytes:
    """An H.264 video of frames of one grey level each, or as drawn; fragmented if it is MP4. `size`: width, height."""
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if container == "mp4" else {}
    with av.open(buffer, "w", format=container, options=options) as out:
        settings = {"crf": "20", "preset": "veryfast", "x264-params": f"keyint={key_frame_every}:scenecut=0"}
        stream = out.add_stream(codec, rate=Fraction(frames_per_second).limit_denominator(1001), options=settings)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for level in levels:
            picture = level if isinstance(level, np.ndarray) else np.full((size[1], size[0], 3), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return buffer.getvalue()
