"""Live streams of any length and clock: a small moving grey picture, as `tests.media.build` has it in large."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import av
import numpy as np

WIDTH_PX, HEIGHT_PX, FRAMES_PER_SECOND = 96, 64, 10
_TICK = Fraction(1, 90_000)


@cache
def live(seconds: float, start_seconds: float = 0.0, container: str = "mpegts") -> bytes:
    """H.264 in MPEG-TS or fragmented MP4, a key frame every second; its clock begins at `start_seconds`."""
    return b"".join(endless(round(seconds * FRAMES_PER_SECOND), start_seconds, container))


def endless(frames: int, start_seconds: float = 0.0, container: str = "mpegts") -> Iterator[bytes]:
    """The same while it is encoded."""
    options = {"mpegts": {"mpegts_copyts": "1"}, "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}}
    written = _Written()
    with av.open(written, "w", format=container, options=options[container]) as out:
        stream = out.add_stream(
            "libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast", "g": "10", "bf": "0"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt, stream.time_base = HEIGHT_PX, WIDTH_PX, "yuv420p", _TICK
        stream.codec_context.time_base, stream.codec_context.thread_count = _TICK, 1
        for index in range(frames):
            out.mux(stream.encode(_frame(index, start_seconds)))
            if written.parts:
                yield written.taken()
        out.mux(stream.encode(None))
    yield written.taken()


class _Written:
    """What FFmpeg writes to, without a seek."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def _frame(index: int, start_seconds: float) -> av.VideoFrame:
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 40 + index % 160, np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = round((start_seconds + index / FRAMES_PER_SECOND) / _TICK), _TICK
    return frame
