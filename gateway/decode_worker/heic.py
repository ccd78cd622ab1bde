"""HEIC, as telephones take pictures: a grid of HEVC tiles, which to FFmpeg are as many unrelated videos."""

import numpy as np
import pi_heif
from PIL import Image

from assay.errors import BadMedia, OverLimit
from gateway.decode_worker import colour, mp4
from gateway.decode_worker.budget import too_many_pixels

_DAMAGED = "the HEIC picture is damaged or cut off; send an intact copy"
# libheif's decoder has a thread in any case; these would be further ones. What is not shown is not read.
pi_heif.options.DECODE_THREADS = 0
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


def decode_heic(data: bytes, max_pixels: int) -> Image.Image:
    """The main picture, upright, as RGB or RGBA. Raises `BadMedia`, `OverLimit`."""
    _check_whole(data)
    try:
        image = pi_heif.open_heif(data)
        width_px, height_px = image.size  # as the file says it; libheif refuses to decode another
        if width_px * height_px > max_pixels:
            raise OverLimit(too_many_pixels(width_px * height_px, max_pixels))
        shown: Image.Image = image.to_pillow()
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError) as problem:
        raise BadMedia(_DAMAGED) from problem
    if image.has_alpha:
        return shown.convert("RGBA")
    profile = image.info.get("nclx_profile", {})
    curve, primaries = profile.get("transfer_characteristics"), profile.get("color_primaries")
    return Image.fromarray(colour.to_sdr(np.asarray(shown.convert("RGB")), curve, primaries))


def _check_whole(data: bytes) -> None:
    """Tiles that are not there come out of libheif as green ones, and it says nothing."""
    try:
        boxes = dict(mp4.siblings(memoryview(data)))
        inside = dict(mp4.siblings(boxes[b"meta"][4:]))
        end = _end_of_items(inside[b"iloc"])
    except (BadMedia, KeyError, IndexError) as problem:
        raise BadMedia(_DAMAGED) from problem
    if end > len(data):
        raise BadMedia(_DAMAGED)


def _end_of_items(box: memoryview) -> int:
    """How far into the file the parts reach that a location box names (ISO/IEC 14496-12, 8.11.3)."""
    at, end = 6, 0

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(box):
            raise IndexError("the location box is shorter than its items")
        at += size
        return int.from_bytes(box[at - size : at], "big")

    version = box[0]
    offset_bytes, length_bytes, base_bytes, index_bytes = box[4] >> 4, box[4] & 15, box[5] >> 4, box[5] & 15
    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)
        is_in_file = version == 0 or number(2) & 15 == 0
        number(2)
        base = number(base_bytes)
        for _ in range(number(2)):
            number(index_bytes if version else 0)
            offset, length = number(offset_bytes), number(length_bytes)
            end = max(end, base + offset + length) if is_in_file else end
    return end
