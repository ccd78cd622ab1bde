"""Transparent video: VP8 and VP9 in Matroska carry it next to the picture, where FFmpeg's decoders do not search."""

from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
TRANSPARENT = "transparent parts of the video were judged as they look on white"


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """The track's decoder as it was prepared, or one like it that knows transparency where the file speaks of any."""
    own = stream.codec_context
    name = _DECODERS.get(own.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return own
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count, decoder.options = 1, {**own.options, "codec_whitelist": name}
    return decoder


def over_white(pixels: Any) -> NDArray[np.uint8]:
    """(height, width, 4) uint8 RGBA -> (height, width, 3)."""
    share = pixels[:, :, 3:].astype(np.uint16)
    return np.asarray((pixels[:, :, :3] * share + 255 * (255 - share) + 127) // 255, np.uint8)
