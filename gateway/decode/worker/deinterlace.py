"""Interlaced frames become whole ones by FFmpeg's bwdif, where a frame shows lines of two moments."""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

DEINTERLACED = "the video is interlaced; its frames were deinterlaced (bwdif) before they were judged"

_LEVELS = 12
"""Lines of a comb differ by more than this, of 255, from their neighbours, and by less from the next but one."""
_SHARE = 0.003
"""Of pixels that may look like a comb in a picture that has none: a fence, a blind."""
_SHARE_OF_EDGES, _LEAST_SHARE = 0.03, 0.0005
"""In a picture with little detail few pixels can show a comb: of those that differ from the next line, 6 to 36 percent
do where lines of two moments alternate, 1 percent where they do not (photographs that pan, H.264, MPEG-2 and DV)."""

_LEAST_LINES = 8


class Deinterlacer:
    """Whole frames of one video. Many files say that they are interlaced and are not, or only in part (telecine, 25
    frames in 50 fields): a frame without combs stays as it is, as any filter would take some of its sharpness."""

    def __init__(self, field_order: str = "") -> None:
        """`field_order`: what the container says of a stream that does not, as in `Presentation`."""
        self._field_order = field_order
        self.count = 0
        """Frames that were deinterlaced."""

    def may_change(self, frame: av.VideoFrame) -> bool:
        """Whether the frame, or its container, says that it is interlaced."""
        return bool(frame.interlaced_frame or self._field_order)

    def __call__(
        self, frame: av.VideoFrame, before: av.VideoFrame | None, after: av.VideoFrame | None
    ) -> av.VideoFrame:
        """The frame of one moment; `before` and `after` are its neighbours, None where there is none."""
        if not self.may_change(frame):
            return frame
        if not is_combed(frame):
            if not frame.interlaced_frame:
                return frame
            # The scaler would resize every second line on its own, and lose half of the lines' detail.
            return filtered([frame], ("setparams", "field_mode=prog"))[0]
        self.count += 1
        first, last = (_fitting(neighbour, frame) for neighbour in (before or after, after or before))
        if first is None or last is None:
            return filtered([frame], ("field", "type=top"))[-1]  # one of the two moments, of half the height
        # Of three frames the filter has given out two when it has taken the third.
        parity = "auto" if frame.interlaced_frame else self._field_order
        return filtered([first, frame, last], ("bwdif", f"mode=send_frame:parity={parity}:deint=all"))[1]


def _fitting(neighbour: av.VideoFrame | None, frame: av.VideoFrame) -> av.VideoFrame | None:
    if neighbour is None or (neighbour.width, neighbour.height) != (frame.width, frame.height):
        return None
    return neighbour if neighbour.format.name == frame.format.name else None


def is_combed(frame: av.VideoFrame) -> bool:
    """Whether lines of two moments alternate: dark, bright, dark, bright; detail of one moment seldom does."""
    brightness = _brightness(frame)
    if brightness is None or brightness.shape[0] < _LEAST_LINES:
        return brightness is None
    one, two, three, four = (brightness[start : len(brightness) - 3 + start] for start in range(4))
    alternates = (np.minimum(one, three) - np.maximum(two, four) > _LEVELS) | (
        np.minimum(two, four) - np.maximum(one, three) > _LEVELS
    )
    are_alike = np.maximum(np.abs(one - three), np.abs(two - four)) < _LEVELS
    share = float((alternates & are_alike).mean())
    edges = float((np.abs(one - two) > _LEVELS).mean())
    return share > _SHARE or (share > _LEAST_SHARE and share > _SHARE_OF_EDGES * edges)


def _brightness(frame: av.VideoFrame) -> NDArray[np.int16] | None:
    """(height, width / 2) in levels of 255; None for formats that do not have it in a plane of its own."""
    parts = frame.format.components
    if frame.format.is_rgb or not parts or (len(parts) > 1 and not frame.format.is_planar):
        return None
    plane: Any = frame.planes[0]
    bits = parts[0].bits
    kind: type[Any] = np.uint8 if bits <= 8 else np.uint16
    lines = np.frombuffer(plane, kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)
    return np.asarray(lines[: frame.height, : frame.width : 2] >> max(bits - 8, 0), np.int16)


def filtered(frames: list[av.VideoFrame], filter_and_arguments: tuple[str, str]) -> list[av.VideoFrame]:
    """What one of FFmpeg's filters gives out when it has taken these frames of one size and format."""
    graph = av.filter.Graph()
    graph.threads = 1
    first = frames[0]
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=first.time_base)
    graph.link_nodes(source, graph.add(*filter_and_arguments), graph.add("buffersink")).configure()
    given: list[av.VideoFrame] = []
    for frame in frames:
        graph.vpush(frame)
        try:
            given.append(graph.vpull())
        except av.error.BlockingIOError:
            continue
    return given
