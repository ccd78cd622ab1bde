"""What the numbers of a frame mean, where FFmpeg's scaler would take them for something else."""

from typing import Any

import av
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_UNSPECIFIED = 2
"""Of `AVColorSpace`: the file does not say how brightness and colour were parted."""
_HD_HEIGHT_PX, _HD_WIDTH_PX = 720, 1280


def to_sdr(frame: av.VideoFrame) -> dict[str, Any]:
    """Arguments for `VideoReformatter.reformat`: HDR (PQ and HLG) is brought to the brightness and colours of BT.709.

    Without them the scaler copies the numbers, and an HDR picture comes out grey and dark.
    """
    if frame.color_trc not in _HDR:
        return {}
    return {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}


def of_video(frame: av.VideoFrame) -> dict[str, Any]:
    """The same for a frame of a video, which in addition may not say by which matrix it was made.

    Players take BT.709 then if it is high definition, and BT.601 if it is not; the scaler would always take the latter
    (a red of 220, 20, 20 becomes 203, 0, 23).
    """
    is_hd = frame.height >= _HD_HEIGHT_PX or frame.width >= _HD_WIDTH_PX
    if frame.colorspace == _UNSPECIFIED and is_hd and not frame.format.is_rgb:
        return {"src_colorspace": Colorspace.ITU709, **to_sdr(frame)}
    return to_sdr(frame)
