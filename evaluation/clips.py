"""Clips: pictures in order of time, read from a video, made of a photo, written as a video.

The one place outside the gateway's decoder that touches PyAV: the gateway takes uploads apart in a process of its own,
and here test clips are made of files that are one's own.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.ladder import original

Picture = NDArray[np.uint8]
"""(height, width, 3), RGB."""

FRAMES_PER_SECOND = 25
WIDTH_PX, HEIGHT_PX = 640, 360
CRF = 18
"""x264's constant rate factor of a clip to which nothing is done: hardly different from its source."""


def read_clip(path: Path, seconds: float) -> list[Picture]:
    """The first seconds at 25 pictures a second (the latest one shown at that time), at most 640 wide or high, even
    sides. OSError if there is nothing to decode."""
    taken: list[Picture] = []
    wanted = round(seconds * FRAMES_PER_SECOND)
    try:
        with av.open(str(path)) as container:
            first: float | None = None
            for frame in container.decode(video=0):
                if frame.time is None:
                    continue
                first = frame.time if first is None else first
                due = min(wanted, int((frame.time - first) * FRAMES_PER_SECOND + 1e-6))
                # Until this frame is due, the one before it is shown.
                taken += [taken[-1]] * (due - len(taken)) if taken else []
                if len(taken) >= wanted:
                    break
                if len(taken) == due:
                    taken.append(_small(Image.fromarray(frame.to_ndarray(format="rgb24"))))
    except av.FFmpegError as error:
        raise OSError(f"no video that can be decoded: {error}") from error
    if not taken:
        raise OSError("the video shows nothing")
    return taken


def _small(picture: Image.Image, side_px: int = 640) -> Picture:
    scale = min(1.0, side_px / max(picture.size))
    width, height = (max(2, round(side * scale) // 2 * 2) for side in picture.size)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def still(photo: Path, seconds: float) -> list[Picture]:
    """The photo, standing, at most 1280 wide or high, even sides. OSError."""
    return [_small(original(photo), 1280)] * round(seconds * FRAMES_PER_SECOND)


def pan(photo: Path, seconds: float) -> list[Picture]:
    """A slow pan and zoom over a photo, 640 x 360, as a tripod head would make it. OSError."""
    picture = original(photo)
    count = round(seconds * FRAMES_PER_SECOND)
    return [_view(picture, place / max(1, count - 1)) for place in range(count)]


def _view(picture: Image.Image, progress: float) -> Picture:
    """Begins at the left with 95 % of the greatest view, ends at the right with 80 % of it."""
    ease = progress * progress * (3 - 2 * progress)
    width = min(picture.width, picture.height * WIDTH_PX / HEIGHT_PX) * (0.95 - 0.15 * ease)
    height = width * HEIGHT_PX / WIDTH_PX
    left = (picture.width - width) * ease
    top = (picture.height - height) / 2
    box = (left, top, left + width, top + height)
    return np.asarray(picture.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC, box=box))


def write_clip(pictures: Sequence[Picture], crf: int = CRF) -> bytes:
    """An MP4 file with H.264 in it, 25 pictures a second. ValueError if a side is odd."""
    height, width = pictures[0].shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 with 4:2:0 needs even sides, got {width = }, {height = }")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": str(crf), "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for packet in _packets(stream, pictures):
            out.mux(packet)
    return buffer.getvalue()


def _packets(stream: "av.VideoStream", pictures: Sequence[Picture]) -> Iterator["av.Packet[av.VideoStream]"]:
    for picture in pictures:
        yield from stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
    yield from stream.encode(None)
